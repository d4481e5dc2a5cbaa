"""Leases: which runs a facade takes from silent executors, and when."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import LoseLease
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.maintenance import attention, leases, partitioned
from fabric_jobs.facade.maintenance.attention import Attention
from fabric_jobs.facade.maintenance.leases import Leases

LEASE_S = 30.0
RUN = Run("job", 1)
OTHER = Run("other", 1)


class Clock:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now


class FakeLog:
    """The heartbeats topic."""

    def __init__(self) -> None:
        #: Whether the topic's end was confirmed a moment ago.
        self.fresh = True
        self.readable = True
        #: Called when the topic is read to its end.
        self.on_read: Callable[[], None] = lambda: None

    def is_confirmed_within(self, seconds: float) -> bool:
        """Whether the end was confirmed a moment ago."""
        return self.fresh

    async def read_to_end(self) -> None:
        """Reads what was not read yet."""
        if not self.readable:
            raise LogUnavailableError("Kafka is away.")
        self.on_read()


class FakeJobs:
    """Jobs that keep each command and do not answer it, so that the run stays where it is.

    The last character of a job's id is its partition.
    """

    def __init__(self) -> None:
        self.commands: list[LoseLease] = []
        self.executed = asyncio.Event()
        #: If set, commands of partition 1 wait for this event.
        self.stuck: asyncio.Event | None = None

    def partition(self, job_id: str) -> int:
        """The job's partition."""
        return ord(job_id[-1])

    async def execute(self, command: LoseLease) -> Any:
        """Keeps the command."""
        self.commands.append(command)
        self.executed.set()
        if self.stuck and command.job_id.endswith("1"):
            await self.stuck.wait()
        raise UnavailableError(UnavailableReason.LOG_UNREACHABLE, "Kafka is away.")

    async def wait_for(self, job_id: str) -> None:
        """Waits until a command of the job is executed."""
        async with asyncio.timeout(10):
            while all(command.job_id != job_id for command in self.commands):
                self.executed.clear()
                await self.executed.wait()


class World:
    """A facade that sees one run, of an executor from which it has read no heartbeat."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log = FakeLog()
        self.jobs = FakeJobs()
        self.rank = 0
        self.ready = True
        self.runs: dict[Run, str] = {RUN: "executor"}
        log: Any = self.log
        jobs: Any = self.jobs
        attention = Attention(log, lambda: self.ready)
        self.leases = Leases(log, jobs, self.list_runs, lambda: self.rank, attention, LEASE_S)

    def list_runs(self) -> Sequence[tuple[Run, str]]:
        """The runs of all executors."""
        return list(self.runs.items())

    def read_heartbeat(self, *runs: Run, executor_id: str = "executor") -> None:
        """Reads a heartbeat that lists these runs."""
        self.leases.renew(ExecutorHeartbeat(executor_id=executor_id, runs=runs))

    async def pass_time(self, seconds: float) -> None:
        """Moves the clock on, and ticks once a second."""
        for _ in range(int(seconds)):
            self.clock.now += 1
            await self.tick()

    async def tick(self) -> None:
        """Makes one look, and waits until the runs that it found are taken."""
        async with asyncio.TaskGroup() as tasks:
            self.leases.tick(tasks)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A facade on a clock of the test's own."""
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    monkeypatch.setattr(attention, "time", clock)
    return World(clock)


async def test_leases_executor_silent_for_a_lease_loses_its_run(world: World) -> None:
    """The lease begins when this facade first sees the run."""
    await world.pass_time(LEASE_S)
    assert world.jobs.commands == []
    await world.pass_time(2)

    assert world.jobs.commands[0] == LoseLease(job_id="job", attempt=1, executor_id="executor")


async def test_leases_run_not_listed_by_its_executor_is_taken_and_a_listed_one_is_kept(
    world: World,
) -> None:
    """An executor that is alive can still have lost a run."""
    world.runs[OTHER] = "executor"
    for _ in range(10):
        await world.pass_time(10)
        world.read_heartbeat(RUN)

    assert {command.job_id for command in world.jobs.commands} == {"other"}


async def test_leases_run_that_another_executor_lists_is_taken(world: World) -> None:
    """A list by another executor is no sign of life of the executor that has the run."""
    for _ in range(10):
        await world.pass_time(10)
        world.read_heartbeat(RUN, executor_id="another")

    assert world.jobs.commands[0] == LoseLease(job_id="job", attempt=1, executor_id="executor")
    assert not world.leases.is_listed_since(RUN, datetime(2000, 1, 1, tzinfo=UTC))


async def test_leases_replica_not_ready_takes_nothing_and_then_begins_all_leases_anew(
    world: World,
) -> None:
    """A replica that is not ready knows nothing about anybody's silence."""
    world.ready = False
    await world.pass_time(5 * LEASE_S)
    world.ready = True
    await world.pass_time(LEASE_S)
    assert world.jobs.commands == []
    await world.pass_time(2)

    assert world.jobs.commands != []


async def test_leases_replica_behind_the_topic_begins_all_leases_anew(world: World) -> None:
    """The heartbeats may be among the records that it has not read."""
    await world.pass_time(LEASE_S)
    world.log.fresh = False
    await world.pass_time(5 * LEASE_S)
    world.log.fresh = True
    await world.pass_time(LEASE_S)
    assert world.jobs.commands == []
    await world.pass_time(2)

    assert world.jobs.commands != []


async def test_leases_loop_that_stood_still_begins_all_leases_anew(world: World) -> None:
    """A stopped process, or a machine asleep, reads no heartbeats."""
    await world.pass_time(LEASE_S)
    world.clock.now += 10 * LEASE_S
    await world.tick()
    await world.pass_time(LEASE_S - 1)
    assert world.jobs.commands == []
    await world.pass_time(3)

    assert world.jobs.commands != []


async def test_leases_heartbeat_still_unread_saves_the_run(world: World) -> None:
    """A facade reads the topic to its end before it takes a run."""
    world.log.on_read = lambda: world.read_heartbeat(RUN)
    await world.pass_time(LEASE_S + 2)

    assert world.jobs.commands == []


async def test_leases_many_runs_are_taken_in_portions_that_heartbeats_in_between_save(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of callers have room beside a portion, and each needs a look at the topic."""
    monkeypatch.setattr(partitioned, "PORTION", 2)
    runs = [Run(f"{number} of partition 1", 1) for number in range(5)]
    world.runs = dict.fromkeys(runs, "executor")
    reads: list[int] = []

    def note_read() -> None:
        reads.append(len(world.jobs.commands))
        if len(reads) == 2:
            world.read_heartbeat(runs[3])

    world.log.on_read = note_read
    await world.pass_time(LEASE_S + 2)

    assert reads == [0, 2, 3]
    assert [int(command.job_id[0]) for command in world.jobs.commands] == [0, 1, 2, 4]


async def test_leases_partition_that_takes_no_record_keeps_no_other_partition_waiting(
    world: World,
) -> None:
    """Its commands wait for their time limit. Later looks take the runs of other partitions."""
    stuck = world.jobs.stuck = asyncio.Event()
    world.runs = {Run(f"{number} of partition 1", 1): "executor" for number in range(100)}
    await world.pass_time(LEASE_S)
    async with asyncio.TaskGroup() as tasks:
        for partition in (2, 3, 4):
            world.runs[Run(f"job of partition {partition}", 1)] = "executor"
            for _ in range(int(LEASE_S) + 2):
                world.clock.now += 1
                world.leases.tick(tasks)
            await world.jobs.wait_for(f"job of partition {partition}")
        taken = [command.job_id for command in world.jobs.commands]
        stuck.set()

    assert len([job_id for job_id in taken if job_id.endswith("1")]) == partitioned.PORTION
    assert {command.job_id for command in world.jobs.commands} == {run.job_id for run in world.runs}


async def test_leases_replica_no_longer_attentive_takes_no_further_portion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not have read the heartbeats that would save the other runs."""
    monkeypatch.setattr(partitioned, "PORTION", 1)
    world.runs = {Run("a of partition 1", 1): "executor", Run("b of partition 1", 1): "executor"}
    world.log.on_read = lambda: setattr(world, "ready", False)
    await world.pass_time(LEASE_S + 2)

    assert len(world.jobs.commands) == 1


async def test_leases_end_of_the_topic_unreadable_takes_nothing(world: World) -> None:
    """The silence cannot be confirmed; it can once the topic is readable."""
    world.log.readable = False
    await world.pass_time(LEASE_S + 10)
    assert world.jobs.commands == []
    world.log.readable = True
    await world.pass_time(1)

    assert world.jobs.commands != []


async def test_leases_facade_of_rank_1_takes_the_run_a_second_later(world: World) -> None:
    """The facade of rank 0 has mostly taken it by then."""
    world.rank = 1
    await world.pass_time(LEASE_S + 2)
    # The lease began at the first tick, and the facade of rank 0 would have taken the run.
    assert world.jobs.commands == []
    await world.pass_time(1)

    assert len(world.jobs.commands) == 1


async def test_leases_run_is_listed_since_a_moment_before_its_last_heartbeat_only(
    world: World,
) -> None:
    """A run timeout asks for this: a heartbeat read before the deadline shows nothing about it."""
    before = datetime.now(UTC)
    await world.pass_time(1)
    assert not world.leases.is_listed_since(RUN, before)
    world.read_heartbeat(RUN, OTHER)

    assert world.leases.is_listed_since(RUN, before)
    assert not world.leases.is_listed_since(RUN, datetime.now(UTC))
    assert not world.leases.is_listed_since(OTHER, before), "this facade knows of no such run"


async def test_leases_run_stays_listed_until_its_executor_no_longer_holds_it(world: World) -> None:
    """A run timeout may look at any time after the heartbeat."""
    before = datetime.now(UTC)
    await world.pass_time(1)
    world.read_heartbeat(RUN)
    await world.pass_time(2)
    assert world.leases.is_listed_since(RUN, before)
    world.runs.clear()
    await world.pass_time(1)

    assert not world.leases.is_listed_since(RUN, before)


async def test_leases_replica_attentive_again_has_no_run_listed(world: World) -> None:
    """A heartbeat from before an absence does not show that its executor can report now."""
    before = datetime.now(UTC)
    await world.pass_time(1)
    world.read_heartbeat(RUN)
    world.ready = False
    await world.pass_time(1)
    world.ready = True
    await world.pass_time(1)

    assert not world.leases.is_listed_since(RUN, before)


async def test_leases_running_tick_until_they_are_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` takes a run without a call of `tick` from outside."""
    await world.pass_time(LEASE_S)
    world.clock.now += 2
    monkeypatch.setattr(leases, "TICK_S", 0)
    running = asyncio.create_task(world.leases.run())
    async with asyncio.timeout(10):
        await world.jobs.executed.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert world.jobs.commands[0].job_id == "job"
