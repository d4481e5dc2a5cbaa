"""Whose silence counts, and from when."""

from collections.abc import Sequence
from typing import Any

import pytest

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.lifecycle import LoseLease
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.maintenance import leases
from fabric_jobs.facade.maintenance.leases import Leases

LEASE_S = 30.0
RUN = Run("job", 1)
OTHER = Run("other", 1)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


class World:
    """A log of heartbeats and jobs that remember what was asked of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.fresh = True
        self.readable = True
        self.unread: list[ExecutorHeartbeat] = []
        self.rank = 0
        self.runs: dict[Run, str] = {RUN: "executor"}
        self.asked: list[LoseLease] = []
        self.leases = Leases(
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.running,
            lambda: self.rank,
            lambda: True,
            LEASE_S,
        )

    def running(self) -> Sequence[tuple[Run, str]]:
        """What executors hold."""
        return list(self.runs.items())

    def is_confirmed_within(self, seconds: float) -> bool:
        """Whether the end of the heartbeats was seen just now."""
        return self.fresh

    async def read_to_end(self) -> None:
        """Hands out what was not read yet."""
        if not self.readable:
            raise LogUnavailableError("away")
        for heartbeat in self.unread:
            self.hear(*heartbeat.runs)

    async def execute(self, command: LoseLease) -> Any:
        """Remembers the command."""
        self.asked.append(command)
        raise LogUnavailableError("enough")

    def hear(self, *runs: Run) -> None:
        """A heartbeat is read."""
        self.leases.hear(ExecutorHeartbeat(executor_id="executor", runs=runs))

    async def pass_time(self, seconds: float) -> None:
        """Ticks once a second."""
        for _ in range(int(seconds)):
            self.clock.now += 1
            await self.leases.tick()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One run, of an executor that has not been heard of yet."""
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    return World(clock)


async def test_a_run_is_taken_after_a_lease_of_silence(world: World) -> None:
    """From when this replica first saw it, and not before."""
    await world.pass_time(LEASE_S)
    assert world.asked == []
    await world.pass_time(2)

    assert world.asked[0] == LoseLease(job_id="job", attempt=1, executor_id="executor")


async def test_a_run_that_is_listed_is_left_alone(world: World) -> None:
    """For as long as its executor lists it; another that it does not list is an orphan."""
    world.runs[OTHER] = "executor"
    for _ in range(10):
        await world.pass_time(10)
        world.hear(RUN)

    assert {command.job_id for command in world.asked} == {"other"}


async def test_a_deaf_replica_takes_nothing_before_a_lease_after_it_hears_again(
    world: World,
) -> None:
    """While its tail is behind, the silence may be its own."""
    await world.pass_time(LEASE_S)
    world.fresh = False
    await world.pass_time(5 * LEASE_S)
    world.fresh = True
    await world.pass_time(LEASE_S)

    assert world.asked == []


async def test_a_replica_that_stood_still_begins_all_leases_anew(world: World) -> None:
    """A stopped process, or a machine asleep, heard nobody."""
    await world.pass_time(LEASE_S)
    world.clock.now += 10 * LEASE_S
    await world.leases.tick()
    await world.pass_time(LEASE_S - 1)

    assert world.asked == []


async def test_a_heartbeat_that_waits_to_be_read_saves_the_run(world: World) -> None:
    """The end of the topic is read before anything is taken."""
    world.unread = [ExecutorHeartbeat(executor_id="executor", runs=(RUN,))]
    await world.pass_time(LEASE_S + 2)

    assert world.asked == []


async def test_nothing_is_taken_where_the_end_can_t_be_read(world: World) -> None:
    """Silence that can't be looked up is no silence."""
    world.readable = False
    await world.pass_time(LEASE_S + 10)

    assert world.asked == []


async def test_the_second_facade_leaves_it_to_the_first(world: World) -> None:
    """It takes the run a second later, where the first did not."""
    world.rank = 1
    await world.pass_time(LEASE_S + 2)
    assert world.asked == []
    await world.pass_time(1)

    assert len(world.asked) == 1
