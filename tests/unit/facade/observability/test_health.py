"""What the probes say of a replica."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from fabric_jobs.facade.log import Log
from fabric_jobs.facade.observability.health import READY_S, ReplicaHealth
from fabric_jobs.facade.roster import Roster


def health(*, lag_s: float = 0.0, clock_is_right: bool = True) -> ReplicaHealth:
    """Of a replica that is so far behind, with such a clock."""
    log = cast("Log", SimpleNamespace(lag_s=lag_s))
    return ReplicaHealth(log, cast("Roster", SimpleNamespace(clock_is_right=clock_is_right)))


def test_a_replica_that_is_well_is_ready() -> None:
    """No reason says otherwise."""
    assert health().ready()
    assert health(lag_s=READY_S).unready() == []


@pytest.mark.parametrize(
    ("sick", "reason"),
    [
        (health(lag_s=READY_S + 1), "Kafka"),
        (health(lag_s=float("inf")), "Kafka"),
        (health(clock_is_right=False), "clock"),
    ],
)
def test_a_replica_that_is_not_ready_says_why(sick: ReplicaHealth, reason: str) -> None:
    """And what to look at."""
    (said,) = sick.unready()

    assert not sick.ready()
    assert reason in said


def test_all_reasons_are_said_at_once() -> None:
    """A stopping replica may be behind as well."""
    sick = health(lag_s=60, clock_is_right=False)
    sick.drain()

    assert len(sick.unready()) == 3


async def test_a_replica_lives_while_all_of_its_tasks_do() -> None:
    """One that has ended is named, however it ended."""
    one = health()
    going = asyncio.create_task(asyncio.Event().wait(), name="tail the log")
    one.tasks = [cast("asyncio.Task[None]", going)]
    alive = one.dead()
    going.cancel()
    await asyncio.wait([going])

    assert (alive, one.dead()) == ([], ["tail the log has ended"])
