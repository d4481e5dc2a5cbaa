"""Commands and reads that can't be answered now: their reasons, and the bounds on commands."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from msgspec.structs import replace
from opentelemetry.metrics import CallbackOptions

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade import metrics
from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import MAX_ROUNDS, Jobs
from fabric_jobs.facade.jobs.turns import MAX_COMMANDS_OF_A_JOB
from fabric_jobs.facade.lifecycle import Command, Job, Reason, RequestCancel, Verdict
from fabric_jobs.facade.log import Log, LogUnavailableError
from fabric_jobs.facade.replica import Filter, Replica, StoredJob
from fabric_jobs.facade.replica.replica import Outcome
from fabric_jobs.runtime.telemetry.metrics import MetricValues
from tests.support.lifecycle import (
    JOB,
    WAYS,
    A,
    claim,
    drive,
    report_completed,
    report_stopped,
    request,
    save_checkpoint,
)
from tests.support.sealing import NO_SEALING

FAR_S = 60.0
QUEUED = drive(WAYS["queued"])
SOON_S = 0.01


class FakeLog:
    """A log whose reads never end, and whose appends are neither acknowledged nor read back."""

    partitions = 4
    topic = "events"

    def __init__(self) -> None:
        #: Raised by reads and appends, if set.
        self.error: Exception | None = None
        #: Called after each append.
        self.on_append: Callable[[], None] = lambda: None
        self.appends = 0
        #: Kafka's answer to the last append.
        self.acknowledgement: asyncio.Future[object] | None = None
        #: Set once the log was read to its end.
        self.caught_up = asyncio.Event()

    async def catch_up(self) -> None:
        """Waits until a test has the log read."""
        await self.caught_up.wait()

    async def read_to_end(self) -> None:
        """Never ends."""
        if self.error:
            raise self.error
        await asyncio.Event().wait()

    async def append(self, *record: object) -> asyncio.Future[object]:
        """Takes the record."""
        if self.error:
            raise self.error
        self.appends += 1
        self.on_append()
        self.acknowledgement = asyncio.get_running_loop().create_future()
        return self.acknowledgement


class FakeReplica:
    """A replica that knows at most one job."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self._expected: dict[str, Callable[[Outcome], None]] = {}

    def get(self, job_id: str) -> StoredJob | None:
        """The job, if there is one."""
        return StoredJob(self.job, partition=0, offset=0, first_ms=0) if self.job else None

    def expect(self, event_id: str, read_back: Callable[[Outcome], None]) -> None:
        """Keeps the callback."""
        self._expected[event_id] = read_back

    def forget(self, event_id: str) -> None:
        """Drops the callback."""
        del self._expected[event_id]

    def lose(self) -> None:
        """Reads back every event that is expected; each has lost its race."""
        for event_id in tuple(self._expected):
            self._expected.pop(event_id)((Verdict.LOST, None))


class World:
    """Jobs over a log that a test makes fail."""

    def __init__(self, deadline_s: float) -> None:
        self.log = FakeLog()
        self.replica = FakeReplica()
        log: Any = self.log
        replica: Any = self.replica
        self.jobs = Jobs(log, replica, "/test", deadline_s, NO_SEALING)

    def end_with(self, job: Job) -> None:
        """Has the log read to its end, where the job is in this state."""

        async def read_to_end() -> None:
            self.replica.job = job

        self.log.read_to_end = read_to_end  # type: ignore[method-assign]

    async def reason(self, command: Command) -> UnavailableReason:
        """Why the command can't be answered."""
        with pytest.raises(UnavailableError) as raised:
            await self.jobs.execute(command)
        return raised.value.reason


@pytest.fixture
def world() -> World:
    """Jobs whose commands have all the time that a test takes."""
    return World(FAR_S)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, float]]:
    """The metric from now on, by reason."""
    values = MetricValues(("reason",))
    monkeypatch.setattr(metrics, "UNAVAILABLE", values)

    def read() -> dict[str, float]:
        return {
            str(dict(one.attributes or {})["reason"]): one.value
            for one in values.observe(CallbackOptions())
        }

    return read


async def start(world: World, *job_ids: str) -> list[asyncio.Task[Any]]:
    """Starts a command for each id; it waits for the log's end."""
    tasks = [
        asyncio.create_task(world.jobs.execute(RequestCancel(job_id=job_id))) for job_id in job_ids
    ]
    await asyncio.sleep(0)
    return tasks


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancels the commands."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_jobs_bound_of_one_job_reached_is_overloaded_for_that_job_alone(
    world: World,
) -> None:
    """Another job's command still begins, and the job's own once others are over."""
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    tasks = await start(world, *[one] * MAX_COMMANDS_OF_A_JOB)
    assert await world.reason(RequestCancel(job_id=one)) is UnavailableReason.OVERLOADED
    tasks += await start(world, other)
    assert not tasks[-1].done()
    await cancel(tasks)
    (again,) = await start(world, one)

    assert not again.done()
    await cancel([again])


async def test_jobs_bound_of_the_replica_reached_is_overloaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands are of different jobs. Once they are over, as many others begin."""
    monkeypatch.setattr(turns, "MAX_COMMANDS", 10)
    for _ in range(2):
        tasks = await start(world, *(str(uuid.uuid4()) for _ in range(10)))
        reason = await world.reason(RequestCancel(job_id=str(uuid.uuid4())))

        assert not any(task.done() for task in tasks)
        assert reason is UnavailableReason.OVERLOADED
        await cancel(tasks)


async def test_jobs_log_silent_past_the_deadline_is_unreachable() -> None:
    """A command and a read wait for the log's end, and nothing was appended."""
    world = World(SOON_S)
    with pytest.raises(UnavailableError) as raised:
        await world.jobs.read(JOB)

    assert await world.reason(RequestCancel(job_id=JOB)) is UnavailableReason.LOG_UNREACHABLE
    assert raised.value.reason is UnavailableReason.LOG_UNREACHABLE
    assert world.log.appends == 0


async def test_jobs_error_of_the_log_is_unreachable_with_its_message(world: World) -> None:
    """The log's own error reaches no caller, from a command, an append or a read."""
    world.log.error = LogUnavailableError("The log's end can't be reached.")
    with pytest.raises(UnavailableError, match=r"^The log's end can't be reached\.$") as raised:
        await world.jobs.read(JOB)

    assert raised.value.reason is UnavailableReason.LOG_UNREACHABLE
    assert await world.reason(RequestCancel(job_id=JOB)) is UnavailableReason.LOG_UNREACHABLE
    assert await world.reason(request()) is UnavailableReason.LOG_UNREACHABLE


async def test_jobs_event_not_read_back_in_time_has_an_unknown_outcome() -> None:
    """It has for the next command of the job too, which waits for the event and appends nothing."""
    world = World(SOON_S)

    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert world.log.appends == 1


async def test_jobs_event_acknowledged_and_lost_lets_the_next_command_append() -> None:
    """The brokers lost the record. Until the log was read, the event might only be late."""
    world = World(SOON_S)
    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert world.log.acknowledgement
    world.log.acknowledgement.set_result(None)
    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert world.log.appends == 1
    world.log.caught_up.set()

    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert world.log.appends == 2


async def test_jobs_event_acknowledged_and_read_late_is_not_appended_again() -> None:
    """The next command finds what became of the event, also if the log's end can't be read."""
    world = World(SOON_S)
    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    assert world.log.acknowledgement
    world.log.acknowledgement.set_result(None)
    assert await world.reason(request()) is UnavailableReason.OUTCOME_UNKNOWN
    world.replica.job = drive([request()])
    world.replica.lose()

    assert (await world.jobs.execute(request())).job == world.replica.job
    assert world.log.appends == 1


async def test_jobs_last_event_of_a_later_version_is_newer_version(world: World) -> None:
    """The message names the event."""
    world.replica.job = replace(drive([request()]), decidable=False, event_type="job.paused")
    with pytest.raises(UnavailableError, match=r"job\.paused, is of a later version") as raised:
        await world.jobs.execute(RequestCancel(job_id=JOB))

    assert raised.value.reason is UnavailableReason.NEWER_VERSION


async def test_jobs_every_race_lost_is_contended(world: World) -> None:
    """The command is decided a bounded number of times."""
    loop = asyncio.get_running_loop()
    world.log.on_append = lambda: loop.call_soon(world.replica.lose)  # type: ignore[assignment]

    assert await world.reason(request()) is UnavailableReason.CONTENDED
    assert world.log.appends == MAX_ROUNDS


async def test_jobs_unavailable_is_counted_once_by_its_reason(
    world: World, counted: Callable[[], dict[str, float]]
) -> None:
    """An error of the log and one of the jobs themselves are counted alike."""
    world.log.error = LogUnavailableError("Kafka is away.")
    await world.reason(RequestCancel(job_id=JOB))
    with pytest.raises(UnavailableError):
        await world.jobs.read(JOB)
    world.replica.job = replace(drive([request()]), decidable=False)
    await world.reason(RequestCancel(job_id=JOB))

    assert counted() == {"LOG_UNREACHABLE": 2, "NEWER_VERSION": 1}


def test_unavailable_metric_has_a_series_for_every_reason_from_the_start() -> None:
    """Prometheus misses the first increase of a series that it has not seen before."""
    observations = metrics.UNAVAILABLE.observe(CallbackOptions())

    assert {dict(one.attributes or {})["reason"] for one in observations} == set(UnavailableReason)


async def test_command_that_may_not_append_is_unavailable_and_a_repeated_one_is_not(
    world: World,
) -> None:
    """An event has the time of its decision; the cancel of a cancelled job needs no event."""
    fault = UnavailableError(UnavailableReason.CLOCK_WRONG, "the clock")
    jobs = Jobs(
        cast("Log", world.log),
        cast("Replica", world.replica),
        "/test",
        FAR_S,
        NO_SEALING,
        lambda command: fault,
    )
    with pytest.raises(UnavailableError) as raised:
        await jobs.execute(request())
    assert raised.value.reason is UnavailableReason.CLOCK_WRONG
    assert world.log.appends == 0
    world.replica.job = drive(WAYS["cancelled"])

    assert (await jobs.execute(RequestCancel(job_id=JOB))).job == world.replica.job


async def test_read_of_an_unfinished_job_returns_the_job_as_of_the_logs_end(world: World) -> None:
    """Another facade may have answered with a newer state before."""
    world.replica.job = drive(WAYS["running"])
    ended = drive(WAYS["completed"])
    reached = asyncio.Event()

    async def read_to_end() -> None:
        await reached.wait()
        world.replica.job = ended

    world.log.read_to_end = read_to_end  # type: ignore[method-assign]
    reading = asyncio.create_task(world.jobs.read(JOB))
    await asyncio.sleep(0)
    assert not reading.done()
    reached.set()

    stored = await reading
    assert stored == StoredJob(ended, partition=0, offset=0, first_ms=0)


async def test_cancel_of_a_run_that_stops_already_returns_the_job_as_of_the_logs_end(
    world: World,
) -> None:
    """The answer shows the job, and another facade may have answered with a newer state before."""
    world.replica.job = drive(WAYS["stopping"])
    ended = drive(WAYS["cancelled"])
    world.end_with(ended)

    assert (await world.jobs.execute(RequestCancel(job_id=JOB))).job == ended


@pytest.mark.parametrize(
    ("way", "command", "reads"),
    [
        ("queued", claim(2, A, "e2"), [1]),
        ("queued", report_completed(), [1]),
        # What could change these refusals comes behind the position that the command names.
        ("queued", replace(claim(1, A, "e1"), paused=[JobKind.of(QUEUED.state)]), ["end"]),
        ("running", report_stopped(), ["end"]),
    ],
)
async def test_command_is_refused_only_after_the_log_was_read_as_far_as_that_could_change(
    way: str, command: Command, reads: list[object], world: World
) -> None:
    """The record that the command is based on is at offset 0."""
    world.replica.job = drive(WAYS[way])
    made = list[object]()

    async def read_to(partition: int, position: int) -> None:
        made.append(position)

    async def read_to_end() -> None:
        made.append("end")

    world.log.read_to = read_to  # type: ignore[attr-defined]
    world.log.read_to_end = read_to_end  # type: ignore[method-assign]
    with pytest.raises(RefusedError):
        await world.jobs.execute(command, read_to=1)

    assert made == reads


async def test_repeated_claim_is_granted_only_if_the_run_has_not_ended_at_the_logs_end(
    world: World,
) -> None:
    """An executor may read the record of a run again that it has ended at another facade."""
    world.replica.job = drive(WAYS["running"])
    world.end_with(drive(WAYS["completed"]))
    with pytest.raises(RefusedError) as refused:
        await world.jobs.execute(claim(1, A, "e1"), read_to=1)

    assert refused.value.reason is Reason.FINAL


async def test_checkpoint_that_another_one_has_replaced_at_the_logs_end_is_saved_again(
    world: World,
) -> None:
    """A run saves an earlier value again, at a facade that has not read the later one yet."""
    earlier, later = save_checkpoint(checkpoint=b"1"), save_checkpoint(checkpoint=b"2")
    world.replica.job = drive([*WAYS["running"], earlier])
    world.end_with(drive([*WAYS["running"], earlier, later]))
    appended = asyncio.Event()
    world.log.on_append = appended.set
    saving = asyncio.create_task(world.jobs.execute(earlier, read_to=2))
    await asyncio.wait(
        [saving, asyncio.create_task(appended.wait())], return_when="FIRST_COMPLETED"
    )

    assert appended.is_set()
    await cancel([saving])


async def test_list_has_the_positions_from_before_its_query(world: World) -> None:
    """A caller that watches from these positions misses no change of a listed job."""
    world.log.positions = {0: 5}  # type: ignore[attr-defined]

    async def read_to_end() -> None:
        """Ends at once."""

    async def list_jobs(*_: object) -> list[StoredJob]:
        world.log.positions[0] = 6  # type: ignore[attr-defined]
        return []

    world.log.read_to_end = read_to_end  # type: ignore[method-assign]
    world.replica.list = list_jobs  # type: ignore[attr-defined]

    assert await world.jobs.list(Filter(), 10, None) == ([], {0: 5})


async def test_find_of_a_known_job_does_not_wait_for_the_logs_end(world: World) -> None:
    """Its identity is the same in every replica and for ever."""
    world.replica.job = drive(WAYS["running"])
    async with asyncio.timeout(FAR_S):
        found = await world.jobs.find(JOB)
    assert found is not None
    assert found.job == world.replica.job


async def test_read_of_an_unknown_job_looks_it_up_before_and_after_the_logs_end(
    world: World,
) -> None:
    """Each look-up of an unknown job is a query of the state file."""
    steps: list[str] = []

    def get(job_id: str) -> None:
        steps.append("look up")

    async def read_to_end() -> None:
        steps.append("read to the end")

    world.replica.get = get  # type: ignore[method-assign]
    world.log.read_to_end = read_to_end  # type: ignore[method-assign]

    assert await world.jobs.read(JOB) is None
    assert steps == ["look up", "read to the end", "look up"]


async def test_claim_of_a_record_that_did_not_dispatch_the_job_is_refused() -> None:
    """A record that copies the dispatching event's id may have another payload."""
    world = World(SOON_S)
    world.replica.job = drive(WAYS["queued"])
    read_to = world.log.read_to = AsyncMock()  # type: ignore[attr-defined]
    with pytest.raises(RefusedError) as raised:
        await world.jobs.execute(claim(1, A, "e1"), read_to=8)
    assert raised.value.reason is Reason.NOT_DISPATCHED
    read_to.assert_awaited_once()

    with pytest.raises(UnavailableError):  # the grant is appended, and never read back
        await world.jobs.execute(claim(1, A, "e1"), read_to=1)
    assert world.log.appends == 1
