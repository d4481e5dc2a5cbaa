"""Creates while the clocks of a partition's broker and of a facade are wrong by days."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fabric_jobs.facade.clock import Clock, utc_now
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import JobLifetime, RequestCancel
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Identity, Replica, Store
from fabric_jobs.facade.startup.composition import command_fault
from tests.support.lifecycle import JOB, request
from tests.support.sealing import NO_SEALING

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
MORE_THAN_RETENTION = JobLifetime().retention + timedelta(hours=1)


class ReadBackLog:
    """A log of one partition, whose records the replica reads at once."""

    partitions = 1
    topic = "events"

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._offset = 0
        #: How far the broker's clock is from the right time.
        self.skew = timedelta()

    @property
    def now(self) -> datetime:
        """The time of the broker's clock."""
        return datetime.now(UTC) + self.skew

    async def append(
        self, partition: int, key: bytes, value: bytes, _: object
    ) -> asyncio.Future[object]:
        """Appends a record with the broker's time."""
        time_ms = int(self.now.timestamp() * 1000)
        record = Record(partition, self._offset, time_ms, value, key)
        self._offset += 1
        self._replica.apply([record], {partition: self._offset})
        return asyncio.get_running_loop().create_future()


@pytest.fixture
def replica() -> Iterator[Replica]:
    """A replica of an empty log of one partition."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
    yield Replica(store, 1)
    store.close()


@pytest.mark.parametrize(
    ("before", "then"),
    [(timedelta(), -MORE_THAN_RETENTION), (MORE_THAN_RETENTION, timedelta())],
    ids=["behind", "was ahead"],
)
async def test_create_is_accepted_although_the_clock_of_its_broker_is_or_was_wrong(
    replica: Replica, before: timedelta, then: timedelta
) -> None:
    """The clock of the facade shows that the job is new."""
    log: Any = ReadBackLog(replica)
    jobs = Jobs(log, replica, "/test", 60.0, NO_SEALING)
    log.skew = before
    await jobs.execute(request(OTHER))
    log.skew = then
    await jobs.execute(request())

    assert replica.get(OTHER)
    assert replica.get(JOB)


async def test_create_after_both_clocks_were_ahead_is_not_accepted(replica: Replica) -> None:
    """Every replica has forgotten the job by the time of its partition, so nobody can run it."""
    log: Any = ReadBackLog(replica)
    log.skew = MORE_THAN_RETENTION
    ahead = Jobs(log, replica, "/test", 60.0, NO_SEALING, now=lambda: log.now)
    await ahead.execute(request(OTHER))
    log.skew = timedelta()
    jobs = Jobs(log, replica, "/test", 60.0, NO_SEALING)
    with pytest.raises(UnavailableError, match="clocks of the broker") as raised:
        await jobs.execute(request())

    assert raised.value.reason is UnavailableReason.CLOCK_WRONG
    assert (await ahead.execute(request(OTHER))).job


async def test_command_while_the_brokers_clock_is_days_ahead_makes_the_replica_forget_no_job(
    replica: Replica,
) -> None:
    """With one broker, the facade's events have the time of the same wrong clock."""
    log: Any = ReadBackLog(replica)
    clock = Clock()
    roster: Any = SimpleNamespace(clock=clock, peers=SimpleNamespace(conflict=""))

    def beat() -> None:
        written = utc_now()
        clock.note_written(written)
        clock.confirm(written, log.now)

    jobs = Jobs(
        log,
        replica,
        "/test",
        60.0,
        NO_SEALING,
        lambda command: command_fault(command, roster),
        clock.now,
    )
    beat()
    await jobs.execute(request(OTHER))
    await jobs.execute(request())
    log.skew = MORE_THAN_RETENTION
    beat()
    with pytest.raises(UnavailableError, match="over 1 day ahead"):
        await jobs.execute(RequestCancel(job_id=JOB))
    assert replica.get(OTHER)
    log.skew = timedelta()
    beat()
    cancelled = await jobs.execute(RequestCancel(job_id=JOB))

    assert cancelled.job.final
    assert replica.get(OTHER)
