"""Helpers for tests of the lifecycle: commands, stamps, and jobs in each phase."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.events import Event, KnownEvent, UnknownEvent
from fabric_jobs.contract.jobs import InvokeType, JobPhase, Policy, Progress
from fabric_jobs.facade import lifecycle
from fabric_jobs.facade.lifecycle import Command, Job, Stamp, Verdict

JOB = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
A = "executor-a"
B = "executor-b"
TENANT = str(uuid.UUID(int=3))
WORKSPACE = str(uuid.UUID(int=1))
ITEM = str(uuid.UUID(int=2))
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD = b'{"rows":[1,2,3]}'
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#: Allows three attempts, with backoffs of exactly 2 s and 6 s.
POLICY = Policy(max_attempts=3, initial_backoff_s=2, backoff_multiplier=3, jitter=0)
FOREVER = Policy(max_attempts=1_000, initial_backoff_s=0, jitter=0)
UNKNOWN_TYPE = "fabric.jobs.paused"


def at(seconds: float) -> datetime:
    """The time this many seconds after `EPOCH`."""
    return EPOCH + timedelta(seconds=seconds)


def stamp(event_id: str = "event", seconds: float = 0, source: str = "/replicas/1") -> Stamp:
    """A stamp with this event id, source and time in seconds after `EPOCH`."""
    return Stamp(event_id=event_id, source=source, time=at(seconds))


def request(job_id: str = JOB, request_hash: str = "hash-1") -> lifecycle.Request:
    """The command that creates a job."""
    return lifecycle.Request(
        job_id=job_id,
        tenant_id=TENANT,
        workspace_id=WORKSPACE,
        item_type="Org.Workload.Item",
        item_id=ITEM,
        job_type="Org.Workload.Item.Job",
        invoke_type=InvokeType.MANUAL,
        request_hash=request_hash,
        payload=PAYLOAD,
        traceparent=TRACEPARENT,
    )


def claim(
    attempt: int, executor_id: str, dispatch_id: str, job_id: str = JOB, policy: Policy = POLICY
) -> lifecycle.Claim:
    """A claim of the attempt that the event `dispatch_id` dispatched."""
    return lifecycle.Claim(
        job_id=job_id,
        attempt=attempt,
        executor_id=executor_id,
        dispatch_id=dispatch_id,
        policy=policy,
    )


def report_progress(
    attempt: int = 1, executor_id: str = A, fraction: float = 0.5, message: str = "half"
) -> lifecycle.ReportProgress:
    """A report of progress."""
    return lifecycle.ReportProgress(
        job_id=JOB, attempt=attempt, executor_id=executor_id, progress=Progress(fraction, message)
    )


def save_checkpoint(
    attempt: int = 1, executor_id: str = A, checkpoint: bytes = b'{"row":7}'
) -> lifecycle.SaveCheckpoint:
    """A report of a checkpoint."""
    return lifecycle.SaveCheckpoint(
        job_id=JOB, attempt=attempt, executor_id=executor_id, checkpoint=checkpoint
    )


def report_completed(
    attempt: int = 1, executor_id: str = A, handler_end_time: datetime | None = None
) -> lifecycle.ReportCompleted:
    """A report that the handler returned."""
    return lifecycle.ReportCompleted(
        job_id=JOB, attempt=attempt, executor_id=executor_id, handler_end_time=handler_end_time
    )


def report_failed(
    attempt: int = 1,
    executor_id: str = A,
    error: ErrorResponse | None = None,
    traceback: str = "",
) -> lifecycle.ReportFailed:
    """A report of a failed run; the error is not permanent unless another one is given."""
    return lifecycle.ReportFailed(
        job_id=JOB,
        attempt=attempt,
        executor_id=executor_id,
        error=error or failure(),
        traceback=traceback,
    )


def report_stopped(attempt: int = 1, executor_id: str = A) -> lifecycle.ReportStopped:
    """A report that the run stopped because of a cancel."""
    return lifecycle.ReportStopped(job_id=JOB, attempt=attempt, executor_id=executor_id)


def hand_back(attempt: int = 1, executor_id: str = A) -> lifecycle.HandBack:
    """A command by which an executor gives its run back."""
    return lifecycle.HandBack(job_id=JOB, attempt=attempt, executor_id=executor_id)


def lose_lease(attempt: int = 1, executor_id: str = A) -> lifecycle.LoseLease:
    """A replica's command for a run whose executor sends no heartbeats."""
    return lifecycle.LoseLease(job_id=JOB, attempt=attempt, executor_id=executor_id)


def retry(attempt: int = 1) -> lifecycle.Retry:
    """A replica's command when the next attempt is due."""
    return lifecycle.Retry(job_id=JOB, attempt=attempt)


def deadline_commands(attempt: int = 1) -> tuple[lifecycle.TimeOutRun, lifecycle.ForceCancel]:
    """A replica's commands when the run's timeout is over, and when the cancel's grace is."""
    return (
        lifecycle.TimeOutRun(job_id=JOB, attempt=attempt),
        lifecycle.ForceCancel(job_id=JOB, attempt=attempt),
    )


def cancel() -> lifecycle.RequestCancel:
    """The command that asks to cancel the job."""
    return lifecycle.RequestCancel(job_id=JOB)


def failure(code: str = "Flaky", *, permanent: bool | None = None) -> ErrorResponse:
    """An error, not permanent by default."""
    return ErrorResponse(
        error_code=code,
        message=f"{code} happened.",
        source=ErrorSource.EXTERNAL,
        is_permanent=permanent,
    )


def decide_event(job: Job | None, command: Command, given: Stamp) -> KnownEvent:
    """The event that the command leads to; fails if the decision is not an event."""
    decision = lifecycle.decide(job, command, given)
    assert isinstance(decision, KnownEvent), decision
    return decision


def apply_event(job: Job | None, event: Event) -> Job:
    """The job after the event; fails if the event does not apply."""
    verdict, after = lifecycle.fold(job, event)
    assert verdict is Verdict.APPLIED, (verdict, event)
    assert after is not None
    return after


def events_of(commands: Iterable[Command], job: Job | None = None) -> list[Event]:
    """The events that the commands lead to; the event with sequence n has id `e{n}` and time n s.

    The `dispatch_id` of a claim is replaced by that of the job's last dispatch.
    """
    decided: list[Event] = []
    for command in commands:
        if job is not None and isinstance(command, lifecycle.Claim):
            command = replace(command, dispatch_id=job.dispatch_id)
        sequence = job.sequence + 1 if job else 1
        decided.append(decide_event(job, command, stamp(f"e{sequence}", sequence)))
        job = apply_event(job, decided[-1])
    return decided


def drive(commands: Iterable[Command], job: Job | None = None) -> Job:
    """The job after the commands, folded from the events of `events_of`."""
    for event in events_of(commands, job):
        job = apply_event(job, event)
    assert job is not None
    return job


_START = (request(), claim(1, A, "e1"))
#: The shortest sequence of commands to each phase, by a name; each final state has its own name.
WAYS: dict[str, tuple[Command, ...]] = {
    "unknown": (),
    "queued": (request(),),
    "running": _START,
    "stopping": (*_START, cancel()),
    "waiting": (*_START, report_failed()),
    "queued again": (*_START, report_failed(), retry()),
    "running again": (*_START, report_failed(), retry(), claim(2, A, "e4")),
    "completed": (*_START, report_completed()),
    "failed": (*_START, report_failed(error=failure(permanent=True))),
    "stopped": (*_START, cancel(), report_stopped()),
    "cancelled": (request(), cancel()),
}
PHASES: dict[str, JobPhase | None] = {
    "unknown": None,
    "queued": JobPhase.QUEUED,
    "running": JobPhase.RUNNING,
    "stopping": JobPhase.STOPPING,
    "waiting": JobPhase.WAITING,
    "queued again": JobPhase.QUEUED,
    "running again": JobPhase.RUNNING,
    "completed": JobPhase.ENDED,
    "failed": JobPhase.ENDED,
    "stopped": JobPhase.ENDED,
    "cancelled": JobPhase.ENDED,
}


def job_in(name: str) -> Job | None:
    """The job after the commands of `WAYS[name]`; None for no commands."""
    return drive(WAYS[name]) if WAYS[name] else None


def unknown_event(job: Job | None, event_id: str = "later") -> UnknownEvent:
    """An event of an unknown type that follows the job's last one and keeps its state."""
    given = job or drive([request()])
    dispatch = UNSET if job else events.Dispatch(Raw(PAYLOAD))
    return UnknownEvent(
        type=UNKNOWN_TYPE,
        id=event_id,
        source="/replicas/later",
        subject=JOB,
        time=EPOCH,
        data=events.EventData(
            sequence=job.sequence + 1 if job else 1,
            follows=job.event_id if job else None,
            state=given.state,
            dispatch=dispatch,
        ),
    )
