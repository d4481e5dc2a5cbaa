"""The health of a replica: ready, not ready and why, failed and why."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from fabric_jobs.facade.log import Log
from fabric_jobs.facade.observability.health import READY_S, ReplicaHealth
from fabric_jobs.facade.roster import Roster


def health(
    *,
    lag_s: float = 0.0,
    clock_is_right: bool = True,
    clock_is_confirmed: bool = True,
    conflict: str = "",
) -> ReplicaHealth:
    """The health of a replica with this lag and clock, and this conflict with the other facades."""
    log = cast(
        "Log",
        SimpleNamespace(is_confirmed_within=lambda seconds: lag_s <= seconds, fault=""),
    )
    peers = SimpleNamespace(conflict=conflict)
    clock = SimpleNamespace(is_right=clock_is_right, is_confirmed=clock_is_confirmed)
    roster = SimpleNamespace(clock=clock, peers=peers)
    return ReplicaHealth(log, cast("Roster", roster))


def test_health_nothing_wrong_is_ready() -> None:
    """There is no reason against it; a lag of exactly the bound is no reason either."""
    assert health().ready()
    assert health(lag_s=READY_S).unready_reasons() == []


@pytest.mark.parametrize(
    ("sick", "reason"),
    [
        (health(lag_s=READY_S + 1), "Kafka"),
        (health(lag_s=float("inf")), "Kafka"),
        (health(clock_is_right=False), "clock"),
        (health(clock_is_confirmed=False), "not compared"),
        (health(conflict="the longest life differs"), "the longest life differs"),
    ],
)
def test_health_one_fault_is_not_ready_with_its_reason(sick: ReplicaHealth, reason: str) -> None:
    """The reason names what to check."""
    (found,) = sick.unready_reasons()

    assert not sick.ready()
    assert reason in found


def test_health_several_faults_are_all_listed() -> None:
    """A stopping replica may be behind as well."""
    sick = health(lag_s=60, clock_is_right=False)
    sick.drain()

    assert len(sick.unready_reasons()) == 3


async def test_health_task_ended_is_a_failure_with_its_name() -> None:
    """While every task runs there is no failure; a cancelled task counts as ended."""
    replica = health()
    task = asyncio.create_task(asyncio.Event().wait(), name="events log")
    replica.tasks = [cast("asyncio.Task[None]", task)]
    before = replica.failures()
    task.cancel()
    await asyncio.wait([task])
    after = replica.failures()

    assert before == []
    assert after == ["The task 'events log' has ended: restart this facade."]
