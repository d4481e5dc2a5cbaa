"""Timers: which jobs are fired, when, and with which command."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.contract.jobs import Policy
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import (
    Command,
    FailUnstarted,
    ForceCancel,
    Job,
    JobLifetime,
    Reason,
    Refusal,
    Retry,
    TimeOutRun,
    next_deadline,
)
from fabric_jobs.facade.maintenance import timers
from fabric_jobs.facade.maintenance.partitioned import PORTION
from fabric_jobs.facade.maintenance.timers import RANK_DELAY, Timers
from fabric_jobs.facade.replica import DueJob, StoredJob
from tests.support.controls import open_controls, pause
from tests.support.lifecycle import JOB, WAYS, drive

#: Less than the delay of one rank, in seconds.
SOON_S = RANK_DELAY.total_seconds() / 2
LEASE_S = 30.0
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class FakeReplica:
    """A replica with one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.lifetime = JobLifetime()
        #: The ids of the jobs that `due_jobs` finds; None for the job, if it is due.
        self.found: list[str] | None = None

    def due_jobs(self, until: datetime, limit: int, after: DueJob | None) -> Sequence[DueJob]:
        """As `Replica.due_jobs`. The last character of a job's id is its partition."""
        found = self.found
        if found is None:
            deadline = next_deadline(self.job, self.lifetime.longest)
            found = [JOB] if deadline and deadline.time <= until else []
        due = [DueJob(number, job_id, ord(job_id[-1])) for number, job_id in enumerate(found)]
        return [job for job in due if after is None or job > after][:limit]

    def get(self, job_id: str) -> StoredJob:
        """The job as it is now."""
        return StoredJob(replace(self.job, job_id=job_id), partition=0, offset=0, first_ms=0)


class FakeRoster:
    """A roster that knows this facade's rank, and when an executor for a job was last alive."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self.clock = Clock()
        self.peers = self

    def rank(self) -> int:
        """The number of facades before this one."""
        return self._rank

    def last_served(self, kind: JobKind) -> datetime:
        """The same time for every kind."""
        return LONG_AGO


class FakeJobs:
    """Jobs that keep the commands, and raise `error` if it is set."""

    def __init__(self, replica: FakeReplica) -> None:
        self._replica = replica
        self.commands: list[Command] = []
        self.executed = asyncio.Event()
        self.error: Exception | None = None
        #: If set, commands of partition 1 wait for this event.
        self.stuck: asyncio.Event | None = None

    async def execute(self, command: Command) -> Any:
        """Keeps the command."""
        self.commands.append(command)
        self.executed.set()
        if self.stuck and command.job_id.endswith("1"):
            await self.stuck.wait()
        if self.error:
            raise self.error
        return self._replica.get(command.job_id)

    async def wait_for(self, job_id: str) -> None:
        """Waits until a command of the job is executed."""
        async with asyncio.timeout(10):
            while all(command.job_id != job_id for command in self.commands):
                self.executed.clear()
                await self.executed.wait()


class World:
    """Timers over a job, in a facade of this rank."""

    def __init__(self, job: Job, *, rank: int = 0) -> None:
        #: Since when the facade has been attentive, in seconds; None if it is not.
        self.attentive_s: float | None = 10 * LEASE_S
        #: When the facade last read a heartbeat that lists the run; None if it read none.
        self.listed_at: datetime | None = None
        #: The jobs whose runs a heartbeat has listed just now.
        self.listed = set[str]()
        self.replica = FakeReplica(job)
        self.jobs = FakeJobs(self.replica)
        roster: Any = FakeRoster(rank)
        jobs: Any = self.jobs
        replica: Any = self.replica
        self.controls = open_controls()
        this: Any = self
        self.timers = Timers(jobs, replica, roster, self.controls, this, this, LEASE_S)

    async def tick(self) -> None:
        """Makes one look, and waits until the jobs that it took are fired."""
        async with asyncio.TaskGroup() as tasks:
            self.timers.tick(tasks)

    def look(self) -> float | None:
        """As `Attention.look`."""
        return None if self.attentive_s is None else time.monotonic() - self.attentive_s

    def is_listed_since(self, run: Run, moment: datetime) -> bool:
        """As `Leases.is_listed_since`."""
        is_listed = self.listed_at is not None and self.listed_at > moment
        return is_listed or run.job_id in self.listed


def waiting(seconds_due: float) -> Job:
    """A job that waits for its second attempt, which was due so many seconds ago."""
    job, now = drive(WAYS["waiting"]), datetime.now(UTC)
    times = {"create_time": now, "due_time": now - timedelta(seconds=seconds_due)}
    return replace(job, state=replace(job.state, **times))


async def test_timers_backoff_over_asks_for_the_next_attempt() -> None:
    """The facade of rank 0 asks at once."""
    world = World(waiting(SOON_S))
    await world.tick()

    assert world.jobs.commands == [Retry(job_id=JOB, attempt=1)]


async def test_timers_backoff_not_over_fires_nothing() -> None:
    """The job is due in an hour."""
    world = World(waiting(-3600))
    await world.tick()

    assert world.jobs.commands == []


async def test_timers_replica_not_attentive_fires_nothing() -> None:
    """A replica that is behind the log would fire what others have fired; a backoff harms nobody,
    so its end fires as soon as the replica is attentive again."""
    world = World(waiting(3600))
    world.attentive_s = None
    await world.tick()
    assert world.jobs.commands == []
    world.attentive_s = 0
    await world.tick()

    assert world.jobs.commands == [Retry(job_id=JOB, attempt=1)]


@pytest.mark.parametrize("rank", [1, 2])
async def test_timers_later_rank_fires_that_much_later(rank: int) -> None:
    """Each facade waits a second longer than the one before it, which mostly fires first."""
    delay_s = rank * RANK_DELAY.total_seconds()
    early, late = World(waiting(delay_s - SOON_S), rank=rank), World(waiting(delay_s), rank=rank)
    await early.tick()
    await late.tick()

    assert early.jobs.commands == []
    assert late.jobs.commands == [Retry(job_id=JOB, attempt=1)]


async def test_timers_job_changed_after_it_was_found_due_fires_nothing() -> None:
    """Another facade fired the retry: the next due time, the end of the job's life, is far."""
    job = drive(WAYS["queued again"])
    world = World(replace(job, state=replace(job.state, create_time=datetime.now(UTC))))
    world.replica.found = [JOB]
    await world.tick()

    assert world.jobs.commands == []


async def test_timers_job_never_started_fails_with_the_last_time_of_an_executor() -> None:
    """The error can then say whether an executor for the job was there at all."""
    job = drive(WAYS["queued"])
    created = datetime.now(UTC) - timedelta(hours=2)
    world = World(replace(job, state=replace(job.state, create_time=created)))
    await world.tick()

    assert world.jobs.commands == [FailUnstarted(job_id=JOB, last_served=LONG_AGO)]


def ago(seconds: float) -> datetime:
    """The time so many seconds ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def running(seconds: float) -> Job:
    """A job whose run began so many seconds ago, and may take 5 s."""
    job = drive(WAYS["running"])
    times = {"create_time": ago(seconds), "attempt_start_time": ago(seconds)}
    return replace(job, state=replace(job.state, policy=Policy(run_timeout_s=5), **times))


def stopping(seconds: float) -> Job:
    """A job whose run began a minute before its cancel, so many seconds ago; the grace is 5 s."""
    job = drive(WAYS["stopping"])
    times = {"create_time": ago(seconds + 60), "attempt_start_time": ago(seconds + 60)}
    state = replace(job.state, cancel_time=ago(seconds), **times)
    return replace(job, state=replace(state, policy=Policy(cancel_grace_s=5)))


LATE_RUNS = pytest.mark.parametrize(
    ("late", "command"),
    [(running, TimeOutRun(job_id=JOB, attempt=1)), (stopping, ForceCancel(job_id=JOB, attempt=1))],
    ids=["run timeout", "cancel grace"],
)


@LATE_RUNS
async def test_timers_run_fires_once_it_is_listed_since_its_deadline(
    late: Callable[[float], Job], command: Command
) -> None:
    """A heartbeat from before the deadline does not do: a report may be on its way."""
    world = World(late(6))
    world.attentive_s = 7
    for world.listed_at in (None, ago(2)):
        await world.tick()
    assert world.jobs.commands == []
    world.listed_at = ago(0.5)
    await world.tick()

    assert world.jobs.commands == [command]


@LATE_RUNS
async def test_timers_run_of_no_executor_fires_without_a_heartbeat(
    late: Callable[[float], Job], command: Command
) -> None:
    """No facade writes such a run. Nobody can list it, so its job would never end."""
    job = late(6)
    world = World(replace(job, state=replace(job.state, executor_id=None)))
    world.attentive_s = 7
    await world.tick()

    assert world.jobs.commands == [command]


@LATE_RUNS
async def test_timers_deadline_that_began_in_an_absence_waits_for_a_lease_of_attention(
    late: Callable[[float], Job], command: Command
) -> None:
    """Executors need time to connect again and to report what ended meanwhile."""
    world = World(late(180))
    world.listed_at = ago(0.5)
    world.attentive_s = LEASE_S - 1
    await world.tick()
    assert world.jobs.commands == []
    world.attentive_s = LEASE_S + 1
    await world.tick()

    assert world.jobs.commands == [command]


@pytest.mark.parametrize("seconds", [2 * 3600, 30 * 3600], ids=["start deadline", "longest life"])
async def test_timers_unstarted_job_waits_for_a_lease_of_attention(seconds: float) -> None:
    """While no facade was there, no executor could claim the job."""
    job = drive(WAYS["queued"])
    world = World(replace(job, state=replace(job.state, create_time=ago(seconds))))
    world.attentive_s = LEASE_S - 1
    await world.tick()
    assert world.jobs.commands == []
    world.attentive_s = LEASE_S + 1
    await world.tick()

    assert len(world.jobs.commands) == 1


@pytest.mark.parametrize(
    "error",
    [
        RefusedError(Refusal(Reason.FINAL, conclusive=True)),
        UnavailableError(UnavailableReason.LOG_UNREACHABLE, "Kafka is away."),
    ],
)
async def test_timers_command_that_fails_is_tried_again_at_the_next_look(error: Exception) -> None:
    """The failure ends neither this look nor the timers."""
    world = World(waiting(SOON_S))
    world.jobs.error = error
    await world.tick()
    await world.tick()

    assert world.jobs.commands == [Retry(job_id=JOB, attempt=1)] * 2


@pytest.mark.parametrize("must_wait", [False, True], ids=["command fails", "job must wait"])
async def test_timers_due_jobs_that_stay_due_keep_no_other_job_waiting(
    monkeypatch: pytest.MonkeyPatch, *, must_wait: bool
) -> None:
    """Each look takes the next page of the due jobs, and begins again after the last page."""
    monkeypatch.setattr(timers, "PAGE", 2)
    world = World(running(6) if must_wait else waiting(SOON_S))
    world.jobs.error = UnavailableError(UnavailableReason.OUTCOME_UNKNOWN, "Kafka is away.")
    world.replica.found = ["first", "second", "third"]
    if must_wait:
        world.listed = {"third"}
    for _ in range(3):
        await world.tick()

    fired = [command.job_id for command in world.jobs.commands]
    assert fired == (["third"] if must_wait else ["first", "second", "third", "first", "second"])


async def test_timers_partition_that_takes_no_record_keeps_no_other_partition_waiting() -> None:
    """Its commands wait for their time limit. Later looks fire the jobs of other partitions."""
    world = World(waiting(SOON_S))
    stuck = world.jobs.stuck = asyncio.Event()
    world.replica.found = [f"job {number} of partition 1" for number in range(100)]
    async with asyncio.TaskGroup() as tasks:
        for partition in (2, 3, 4):
            world.replica.found.append(f"later job of partition {partition}")
            world.timers.tick(tasks)
            await world.jobs.wait_for(world.replica.found[-1])
        fired = [command.job_id for command in world.jobs.commands]
        world.jobs.stuck = None
        stuck.set()

    assert len([job_id for job_id in fired if job_id.endswith("1")]) == PORTION
    assert set(world.replica.found[100:]) <= set(fired)
    assert {command.job_id for command in world.jobs.commands} == set(world.replica.found)


async def test_timers_replica_no_longer_attentive_fires_no_further_portion() -> None:
    """It may be behind the log by now."""
    world = World(waiting(SOON_S))
    world.replica.found = [f"{number} of partition 1" for number in range(PORTION + 1)]
    stuck = world.jobs.stuck = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        world.timers.tick(tasks)
        await world.jobs.wait_for(world.replica.found[0])
        world.attentive_s = None
        stuck.set()

    assert len(world.jobs.commands) == PORTION


async def test_timers_running_look_until_they_are_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`run` fires what is due without a call of `tick` from outside."""
    monkeypatch.setattr(timers, "TICK_S", 0)
    world = World(waiting(SOON_S))
    running = asyncio.create_task(world.timers.run())
    async with asyncio.timeout(10):
        await world.jobs.executed.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert set(world.jobs.commands) == {Retry(job_id=JOB, attempt=1)}


async def test_timers_unstarted_job_of_a_paused_type_names_the_pause() -> None:
    """The command carries the pause, so that the job's error can name it."""
    job = drive(WAYS["queued"])
    world = World(job)
    control = pause(job.state.item_type, job.state.job_type)
    await world.controls.write(control)
    await world.tick()

    (command,) = world.jobs.commands
    assert isinstance(command, FailUnstarted)
    assert command.pause == control
