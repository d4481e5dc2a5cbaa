"""Who is there, and what time it is, as the heartbeats tell."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, FacadeHeartbeat, Heartbeat, JobKind
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.roster import GONE_S, Roster

ME = "/facade/m"
KIND = JobKind("Item", "job")


class Beats:
    """A log of heartbeats that nobody writes."""


def roster(*, record_time: bool = True) -> Roster:
    """What one replica knows, with leases of 30 s."""
    return Roster(Beats(), ME, 30.0, record_time=record_time)  # type: ignore[arg-type]


def hear(who: Roster, heartbeat: Heartbeat, seconds_ago: float = 0) -> None:
    """Reads a heartbeat that the broker wrote so long ago."""
    at = datetime.now(UTC).timestamp() - seconds_ago
    who.apply([Record(0, 0, int(at * 1000), heartbeats.encode(heartbeat))], {})


def test_an_executor_is_there_for_a_lease() -> None:
    """By pool and id; one that has been silent for longer is not listed."""
    who = roster()
    for name, seconds_ago in (("b", 0), ("a", 29), ("gone", 31)):
        hear(who, ExecutorHeartbeat(executor_id=name), seconds_ago)

    assert [heard.heartbeat.executor_id for heard in who.executors()] == ["a", "b"]


def test_what_was_ever_served_is_remembered_with_its_time() -> None:
    """Also when its executor has gone."""
    who = roster()
    hear(who, ExecutorHeartbeat(executor_id="a", job_kinds=(KIND,)), 600)
    served = who.last_served(KIND)

    assert who.executors() == []
    assert served is not None
    assert timedelta(seconds=599) < datetime.now(UTC) - served < timedelta(seconds=610)
    assert who.last_served(JobKind("Item", "other")) is None


def test_a_facade_ranks_behind_those_before_it_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that what any may do is mostly done by one."""
    who = roster()
    for name in ("/facade/a", ME, "/facade/z"):
        hear(who, FacadeHeartbeat(facade_id=name, time=datetime.now(UTC)))
    assert who.rank() == 1
    later = time.monotonic() + GONE_S
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert who.rank() == 0


@pytest.mark.parametrize("seconds", [-40, 40])
def test_a_clock_that_is_far_from_the_broker_s_is_wrong_until_it_is_set(seconds: int) -> None:
    """Ahead or behind; and a broker that has no time says nothing about it."""
    wrong = FacadeHeartbeat(facade_id=ME, time=datetime.now(UTC))
    who, timeless = roster(), roster(record_time=False)
    hear(who, wrong, seconds)
    hear(timeless, wrong, seconds)
    assert timeless.clock_is_right
    assert not who.clock_is_right
    hear(who, wrong)

    assert who.clock_is_right


def test_a_heartbeat_that_was_long_on_its_way_says_nothing_against_the_clock() -> None:
    """The broker's time need only lie between sending and reading."""
    who = roster()
    sent = datetime.now(UTC) - timedelta(minutes=5)
    hear(who, FacadeHeartbeat(facade_id=ME, time=sent), 120)

    assert who.clock_is_right


def test_junk_on_the_heartbeats_topic_is_passed_over() -> None:
    """It stops no replica."""
    who = roster()
    for value in (None, b"", b"junk", b"[" * 100_000, b'{"type":"executor","executorId":7}'):
        assert heartbeats.decode(value) is None
        who.apply([Record(0, 0, 0, value)], {})

    assert who.executors() == []
