"""The users' grants as a replica reads them from their topic."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.grants import Grant, decode_record, encode
from fabric_jobs.facade import clock as clock_module
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.on_behalf_of import Grants
from fabric_jobs.facade.on_behalf_of import grants as module
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.sealing import DamagedError, UnknownKeyError
from fabric_jobs.runtime.settings import Secret
from tests.support.controls import MemoryLog
from tests.support.grants import (
    GRANT,
    OTHER_GRANT,
    SetClock,
    final,
    job_with_grant,
    new_ring,
    open_grants,
)
from tests.support.lifecycle import JOB, TENANT

TOKEN = Secret("the refresh token")


async def run_until(grants: Grants, condition: Callable[[], bool]) -> None:
    """Runs the deletion until the condition holds."""
    task = asyncio.create_task(grants.run())
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def deletions(log: MemoryLog) -> list[str]:
    """The ids of the grants that were deleted on the topic."""
    found = [decode_record(record.key, record.value) for record in log.records]
    return [grant.grant_id for grant in found if grant and not grant.sealed]


async def test_grant_is_opened_by_every_replica_with_the_key_and_sealed_on_the_topic() -> None:
    """A replica that starts later reads the topic from its beginning."""
    log, ring = MemoryLog(), new_ring("one")
    here = open_grants(log, ring)
    await here.write(GRANT, TENANT, JOB, TOKEN)
    there, stranger = open_grants(log, ring), open_grants(log, new_ring("two"))

    job = job_with_grant()
    assert await here.refresh_token(job) == await there.refresh_token(job) == TOKEN
    assert TOKEN.reveal().encode() not in (log.records[0].value or b"")
    with pytest.raises(UnknownKeyError, match="one"):
        await stranger.refresh_token(job)


async def test_last_record_of_a_grant_applies_and_another_grant_of_the_job_does_not() -> None:
    """A rotated refresh token replaces the old one. A create that lost has a grant of its own."""
    log = MemoryLog()
    grants = open_grants(log, new_ring("one"))
    await grants.write(GRANT, TENANT, JOB, TOKEN)
    await grants.write(OTHER_GRANT, TENANT, JOB, Secret("of another user"))
    await grants.write(GRANT, TENANT, JOB, Secret("rotated"))

    assert await grants.refresh_token(job_with_grant()) == Secret("rotated")
    assert await grants.refresh_token(job_with_grant(OTHER_GRANT)) == Secret("of another user")


async def test_grant_under_another_grants_id_is_not_opened() -> None:
    """Whoever may write to the topic can't give a job the token of another create."""
    log = MemoryLog()
    grants = open_grants(log, new_ring("one"))
    await grants.write(OTHER_GRANT, TENANT, JOB, Secret("of another user"))
    stolen = decode_record(log.records[0].key, log.records[0].value)
    assert stolen
    moved = encode(replace(stolen, grant_id=GRANT))
    grants.apply([Record(0, 1, 0, moved, GRANT.encode())], {0: 2})

    with pytest.raises(DamagedError, match="another grant"):
        await grants.refresh_token(job_with_grant())


async def test_grant_of_a_final_job_is_forgotten_at_once_and_deleted_on_the_topic() -> None:
    """A late record of the grant does not bring it back."""
    log = MemoryLog()
    grants = open_grants(log, new_ring("one"))
    job = job_with_grant()
    await grants.write(GRANT, TENANT, JOB, TOKEN)
    kept = log.records[0]
    grants.on_change(final(job))
    grants.apply([kept], {0: 1})

    assert await grants.refresh_token(job) is None
    await run_until(grants, lambda: deletions(log) == [GRANT])
    assert await open_grants(log, new_ring("one")).refresh_token(job) is None


async def test_facade_of_higher_rank_deletes_later() -> None:
    """The facade of lowest rank does it first."""
    log = MemoryLog()
    grants = open_grants(log, new_ring("one"), rank=1)
    await grants.write(GRANT, TENANT, JOB, TOKEN)
    grants.on_change(final(job_with_grant()))
    await grants._delete_ended()

    assert deletions(log) == []


@pytest.mark.parametrize(
    ("grant_of_job", "is_final"), [(GRANT, True), (OTHER_GRANT, False), (None, False)]
)
async def test_grant_whose_job_does_not_use_it_is_deleted(
    grant_of_job: str | None, is_final: bool
) -> None:
    """The job ended while nobody looked, or another create won."""
    log = MemoryLog()
    job = job_with_grant(grant_of_job)
    stored = final(job).stored if is_final else StoredJob(job, 0, 0, 0)
    grants = open_grants(log, new_ring("one"), lambda job_id: stored)
    await grants.write(GRANT, TENANT, JOB, TOKEN)

    await run_until(grants, lambda: deletions(log) == [GRANT])


async def test_grant_of_an_unknown_job_is_kept_for_the_longest_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its job's event may still arrive. Then it is forgotten, and retention deletes it.

    The broker's time decides, and no step of the wall clock.
    """
    log, clock = MemoryLog(), SetClock()
    grants = open_grants(log, new_ring("one"), clock=clock)
    await grants.write(GRANT, TENANT, JOB, TOKEN)
    await grants._sweep()
    assert await grants.refresh_token(job_with_grant()) == TOKEN

    stepped = time.time() + 3600 + module.SPARE_S + 1
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: stepped)
        await grants._sweep()
    assert await grants.refresh_token(job_with_grant()) == TOKEN

    clock.ahead += timedelta(seconds=3600 + module.SPARE_S + 1)
    await grants._sweep()
    assert await grants.refresh_token(job_with_grant()) is None
    assert deletions(log) == []


@pytest.mark.parametrize("days", [-2, 2])
async def test_grants_are_swept_only_when_the_clock_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """By a clock that is two days ahead, each grant would seem too old."""
    wrong = datetime.now(UTC) + timedelta(days=days)
    log = MemoryLog()
    with monkeypatch.context() as patch:
        patch.setattr(clock_module, "utc_now", lambda: wrong)
        clock = Clock()
    grants = open_grants(log, new_ring("one"), clock=clock, record_time=True)
    await grants.write(GRANT, TENANT, JOB, TOKEN)
    grants.apply([replace(log.records[0], time_ms=int(time.time() * 1000))], {0: 1})
    swept = asyncio.Event()
    sweep = grants._sweep

    async def note_sweep() -> None:
        await sweep()
        swept.set()

    monkeypatch.setattr(grants, "_sweep", note_sweep)
    running = asyncio.create_task(grants.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not swept.is_set()

    clock.follow_wall_clock()
    async with asyncio.timeout(10):
        await swept.wait()
    running.cancel()
    assert await grants.refresh_token(job_with_grant()) == TOKEN


@pytest.mark.parametrize(("rank", "expected"), [(0, [b"facade"]), (1, [])])
async def test_facade_of_lowest_rank_writes_an_empty_record_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, rank: int, expected: list[bytes]
) -> None:
    """The broker erases only what is in a segment that it writes to no more."""
    monkeypatch.setattr(module, "CLOSE_S", 0.0)
    monkeypatch.setattr(module, "TICK_S", 0.001)
    log = MemoryLog()
    grants = open_grants(log, new_ring("one"), rank=rank)
    ticks = iter(range(5))
    await run_until(grants, lambda: next(ticks, None) is None)

    assert [record.key for record in log.records][:1] == expected
    assert grants.poison.count == 0


def test_record_that_is_no_grant_is_poison() -> None:
    """It is counted and logged by its offset; the next one counts."""
    grants = open_grants(MemoryLog(), new_ring("one"))
    good = Grant(grant_id=GRANT, job_id=JOB, tenant_id=TENANT, sealed="x")
    poison = [
        (GRANT.encode(), b"nonsense"),
        (b"another key", encode(good)),
        (b"no guid", encode(replace(good, grant_id="no guid"))),
        (GRANT.encode(), encode(replace(good, sealed="x" * 70_000))),
    ]
    records = [Record(0, offset, 0, value, key) for offset, (key, value) in enumerate(poison)]
    skipped = [Record(0, 9, 0, b"", b"facade"), Record(0, 10, 0, None, GRANT.encode())]
    grants.apply([*records, *skipped], {0: 11})

    assert grants.poison.count == len(poison)
