"""The facades that are alive: rank, the eldest, and a facade whose longest life differs."""

import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from fabric_jobs.contract.heartbeats import FacadeHeartbeat
from fabric_jobs.facade.peers import MAX_FACADE_SILENCE_S, MAX_FACADES, MAX_RANK, Peers

ME = "/facade/m"
DAY_S = 86_400


def hear(
    peers: Peers,
    facade_id: str,
    *,
    older_s: float | None = 60,
    longest_life_s: int = DAY_S,
    ago_s: float = 0,
) -> None:
    """Reads the heartbeat of a facade that started so many seconds earlier than this moment.

    It was written `ago_s` seconds before the last record. `older_s` of None names no start.
    """
    now = datetime.now(UTC)
    started = None if older_s is None else now - timedelta(seconds=older_s)
    heartbeat = FacadeHeartbeat(
        facade_id=facade_id, time=now, start_time=started, longest_life_s=longest_life_s
    )
    peers.note_time(now)
    peers.apply(heartbeat, now - timedelta(seconds=ago_s))


def test_peers_alone_are_in_agreement_and_first() -> None:
    """The only facade's setting is the service's."""
    alone = Peers(ME, 2 * DAY_S)

    assert (alone.rank(), alone.longest_life_s, alone.conflict) == (0, 2 * DAY_S, "")


def test_peers_with_the_same_longest_life_have_no_conflict() -> None:
    """It does not matter which of them is the eldest."""
    mine = Peers(ME, DAY_S)
    hear(mine, "/facade/a")
    hear(mine, "/facade/z", older_s=-60)

    assert (mine.rank(), mine.longest_life_s, mine.conflict) == (1, DAY_S, "")


@pytest.mark.parametrize("older_s", [60, None], ids=["older", "an earlier version"])
def test_peers_facade_that_differs_from_the_eldest_names_both_values(
    older_s: float | None,
) -> None:
    """The eldest one's value is the service's. Its id is named, so that it can be found."""
    mine = Peers(ME, 2 * DAY_S)
    hear(mine, "/facade/a", older_s=older_s)

    assert mine.longest_life_s == DAY_S
    assert mine.conflict == (
        "FABRIC_JOBS_LONGEST_LIFE_S is 172800 here and 86400 in the eldest facade (/facade/a): "
        "set one value for all facades, and restart those that differ."
    )


def test_peers_eldest_facade_does_not_mind_a_younger_one_that_differs() -> None:
    """Only the younger one is not ready."""
    mine = Peers(ME, DAY_S)
    hear(mine, "/facade/a", older_s=-60, longest_life_s=2 * DAY_S)

    assert (mine.longest_life_s, mine.conflict) == (DAY_S, "")


def test_peers_conflict_ends_with_the_eldest_facade_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A facade that is silent for too long no longer counts."""
    mine = Peers(ME, 2 * DAY_S)
    hear(mine, "/facade/a")
    with caplog.at_level(logging.INFO):
        mine.forget_silent()
        mine.forget_silent()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "172800" in caplog.text
    assert "86400" in caplog.text
    later = time.monotonic() + MAX_FACADE_SILENCE_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with caplog.at_level(logging.INFO):
        mine.forget_silent()

    assert mine.conflict == ""
    assert caplog.messages[-1] == "this facade no longer differs from the eldest one"


def test_peers_facade_that_was_silent_before_the_last_record_is_gone() -> None:
    """After a start, the first heartbeats that a facade reads may be of facades that have ended."""
    mine = Peers(ME, 2 * DAY_S)
    hear(mine, "/facade/a", ago_s=MAX_FACADE_SILENCE_S + 1)
    assert (mine.rank(), mine.conflict) == (0, "")
    hear(mine, "/facade/a", ago_s=MAX_FACADE_SILENCE_S - 1)

    assert mine.rank() == 1
    assert mine.conflict


def test_peers_are_heard_again_at_once_after_a_brokers_clock_was_ahead() -> None:
    """Otherwise a facade with another longest life would be ready until that time has come."""
    mine = Peers(ME, 2 * DAY_S)
    mine.note_time(datetime.now(UTC) + timedelta(hours=1))
    hear(mine, "/facade/a")

    assert mine.rank() == 1
    assert mine.conflict


def test_peers_heartbeat_says_since_when_and_with_which_longest_life_it_runs() -> None:
    """The start stays the same; the time is that of the heartbeat."""
    mine = Peers(ME, 2 * DAY_S)
    first, second = mine.heartbeat(), mine.heartbeat()

    assert first.start_time == second.start_time
    assert first.start_time
    assert first.start_time <= first.time <= second.time
    assert (first.facade_id, first.longest_life_s) == (ME, 2 * DAY_S)


def test_peers_remember_a_bounded_number_of_facades() -> None:
    """The one heard of longest ago is forgotten, and many delay no deadline for long."""
    mine = Peers("z", DAY_S)
    for number in range(MAX_FACADES + 1):
        hear(mine, f"{number:05}")

    assert len(mine._peers) == MAX_FACADES
    assert mine.rank() == MAX_RANK
