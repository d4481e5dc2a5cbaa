"""The roster: live executors and facades, rank, and the clock, by the heartbeats."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import (
    MAX_JOB_TYPES,
    ExecutorHeartbeat,
    FacadeHeartbeat,
    Heartbeat,
    JobKind,
)
from fabric_jobs.contract.jobs import END_OF_TIME
from fabric_jobs.facade import clock
from fabric_jobs.facade import roster as roster_module
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.peers import MAX_FACADE_SILENCE_S
from fabric_jobs.facade.roster import MAX_EXECUTOR_KINDS, Roster

ME = "/facade/m"
DAY_S = 86_400
KIND = JobKind("Item", "job")
OLD_KIND = JobKind("Item", "old")


class NoLog:
    """A heartbeats log that nothing is written to."""


def roster(*, record_time: bool = True, longest_life_s: int = DAY_S) -> Roster:
    """The roster of facade `ME`, with leases of 30 s."""
    no_log: Any = NoLog()
    return Roster(no_log, ME, 30.0, longest_life_s, record_time=record_time)


def read(to: Roster, heartbeat: Heartbeat, seconds_ago: float = 0) -> None:
    """The roster reads a heartbeat that the broker recorded so many seconds ago."""
    at = datetime.now(UTC).timestamp() - seconds_ago
    to.apply([Record(0, 0, int(at * 1000), heartbeats.encode(heartbeat))], {})


def test_roster_executor_silent_for_a_lease_is_not_listed() -> None:
    """The others are listed by pool and id."""
    mine = roster()
    for name, seconds_ago in (("b", 0), ("a", 29), ("gone", 31)):
        read(mine, ExecutorHeartbeat(executor_id=name), seconds_ago)

    assert [last.heartbeat.executor_id for last in mine.executors()] == ["a", "b"]


def test_roster_find_after_a_step_of_the_wall_clock_still_finds_the_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lease is judged by the broker's time, as everywhere."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="a"))

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + DAY_S, tz)

    for module in (clock, roster_module):
        monkeypatch.setattr(module, "datetime", Ahead)

    assert mine.find("a") == ExecutorHeartbeat(executor_id="a")


def test_roster_last_served_keeps_its_time_after_the_executor_is_gone() -> None:
    """A kind of job that no executor ever served has no time."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="a", job_kinds=(KIND,)), 600)
    served = mine.last_served(KIND)

    assert mine.executors() == []
    assert served is not None
    assert timedelta(seconds=599) < datetime.now(UTC) - served < timedelta(seconds=610)
    assert mine.last_served(JobKind("Item", "other")) is None


def test_roster_rank_counts_live_facades_before_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A facade that is silent for too long no longer counts."""
    mine = roster()
    for name in ("/facade/a", ME, "/facade/z"):
        read(mine, FacadeHeartbeat(facade_id=name, time=datetime.now(UTC)))
    assert mine.peers.rank() == 1
    later = time.monotonic() + MAX_FACADE_SILENCE_S
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert mine.peers.rank() == 0


@pytest.mark.parametrize("seconds", [-40, 40])
def test_roster_clock_far_from_the_broker_s_is_wrong_until_it_is_set(seconds: int) -> None:
    """It may be ahead or behind. A broker without record time says nothing about the clock."""
    wrong = FacadeHeartbeat(facade_id=ME, time=datetime.now(UTC))
    mine, timeless = roster(), roster(record_time=False)
    for one in (mine, timeless):
        one.clock.note_written(wrong.time)
        read(one, wrong, seconds)
    assert timeless.clock.is_right
    assert not mine.clock.is_right
    read(mine, wrong)

    assert mine.clock.is_right


def test_roster_malformed_record_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """It stops no facade, and is counted and logged. An empty one is a test append."""
    mine = roster()
    far = FacadeHeartbeat(facade_id="a", time=END_OF_TIME)
    junk = [b"junk", b"[" * 100_000, b'{"type":"executor","executorId":7}', heartbeats.encode(far)]
    for offset, value in enumerate([None, b"", *junk]):
        assert heartbeats.decode(value) is None
        mine.apply([Record(0, offset, 0, value)], {})

    assert mine.executors() == []
    assert mine.poison.count == len(junk)
    assert [line.split(":")[0] for line in caplog.messages] == [
        f"skipped a record that is no heartbeat, partition 0 offset {offset}"
        for offset in range(2, 2 + len(junk))
    ]


def test_roster_remembers_a_bounded_number_of_kinds_and_forgets_the_oldest() -> None:
    """Executors that connect once with many job types cost no more than the bound."""
    mine = roster()
    for number in range(100):
        kinds = tuple(JobKind(f"Item {number}", f"job {kind}") for kind in range(MAX_JOB_TYPES))
        read(mine, ExecutorHeartbeat(executor_id=f"{number:03}", job_kinds=kinds))

    kept = [last.heartbeat for last in mine.executors()]
    assert [heartbeat.executor_id for heartbeat in kept] == [f"{n:03}" for n in range(75, 100)]
    assert sum(len(heartbeat.job_kinds) for heartbeat in kept) == MAX_EXECUTOR_KINDS
    assert mine.last_served(JobKind("Item 74", "job 0")) is None
    assert mine.last_served(JobKind("Item 75", "job 0"))


def test_roster_executor_that_repeats_its_heartbeat_counts_once() -> None:
    """What counts is what is remembered."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="quiet"))
    for _ in range(100):
        kinds = tuple(JobKind("Item", f"job {kind}") for kind in range(MAX_JOB_TYPES))
        read(mine, ExecutorHeartbeat(executor_id="a", job_kinds=kinds))

    assert [last.heartbeat.executor_id for last in mine.executors()] == ["a", "quiet"]


def test_roster_forgets_what_is_silent() -> None:
    """Memory follows what is alive."""
    mine = roster()
    read(mine, ExecutorHeartbeat(executor_id="gone", job_kinds=(KIND,)), 31)
    read(mine, ExecutorHeartbeat(executor_id="here"))
    read(mine, ExecutorHeartbeat(executor_id="long gone", job_kinds=(OLD_KIND,)), 4 * 3600)
    mine.forget_silent()

    assert [*mine._executors] == ["here"]
    assert mine.last_served(KIND)
    assert mine.last_served(OLD_KIND) is None
