"""What a command leads to, on the state that was applied here."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from fabric_jobs import events
from fabric_jobs.events import AttemptFailedData, Dispatch, EventData, RequeuedData, RequeueReason
from fabric_jobs.jobs import (
    MAX_PROGRESS_CHARS,
    ErrorResponse,
    ErrorSource,
    JobInstanceStatus,
    JobPhase,
    JobState,
    Policy,
    Progress,
)
from facade.lifecycle.commands import (
    Claim,
    Command,
    HandBack,
    LoseLease,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    Request,
    RequestCancel,
    Retry,
    RunCommand,
    Stamp,
)
from facade.lifecycle.job import Job
from facade.lifecycle.retry import backoff_s, with_earlier
from facade.lifecycle.table import TABLE


class Reason(StrEnum):
    """Why a command was refused."""

    NOT_FOUND = "the job is not known"
    CONFLICT = "the job exists with other content"
    FINAL = "the job is final"
    SUPERSEDED = "the attempt is over, or a later one was dispatched"
    GRANTED_TO_ANOTHER = "the attempt was granted to another executor"
    NOT_DISPATCHED = "the job's log holds no such dispatch"


class Refusal(Struct, frozen=True):
    """Decided against. Only a conclusive one stands whatever the log says further on."""

    reason: Reason
    conclusive: bool


class Settled(Struct, frozen=True):
    """The command's effect is already in the state: success without an event."""

    job: Job


class Undecidable(Struct, frozen=True):
    """The job's last event is of a type that only a later version decides upon."""

    job: Job


Decision = events.KnownEvent | Settled | Refusal | Undecidable


def decide(job: Job | None, command: Command, stamp: Stamp) -> Decision:
    """The event that would do what the command asks, or why there is none."""
    if job is not None and not job.decidable:
        return Undecidable(job)
    if isinstance(command, Request):
        return _request(job, command, stamp)
    if job is None:
        return Refusal(Reason.NOT_FOUND, conclusive=False)
    if isinstance(command, Claim):
        return _claim(job, command, stamp)
    if isinstance(command, RequestCancel):
        return _cancel(job, stamp)
    if isinstance(command, Retry):
        return _retry(job, command, stamp)
    return _run(job, command, stamp)


def _request(job: Job | None, command: Request, stamp: Stamp) -> Decision:
    if job is not None:
        same = job.state.request_hash == command.request_hash
        return Settled(job) if same else Refusal(Reason.CONFLICT, conclusive=True)
    state = JobState(
        tenant_id=command.tenant_id,
        workspace_id=command.workspace_id,
        item_type=command.item_type,
        item_id=command.item_id,
        job_type=command.job_type,
        invoke_type=command.invoke_type,
        request_hash=command.request_hash,
        activity_id=command.activity_id,
        request_id=command.request_id,
        create_time=stamp.time,
        status=JobInstanceStatus.NOT_STARTED,
        phase=TABLE[None][events.Requested],
        attempt=1,
    )
    return events.Requested(
        id=stamp.event_id,
        source=stamp.source,
        subject=command.job_id,
        time=stamp.time,
        traceparent=command.traceparent or UNSET,
        data=EventData(
            sequence=1, follows=None, state=state, dispatch=Dispatch(Raw(command.payload))
        ),
    )


def _claim(job: Job, command: Claim, stamp: Stamp) -> Decision:
    state = job.state
    if command.attempt == state.attempt and command.dispatch_id != job.dispatch_id:
        # The record lost against the one that the fold applied, or this replica is still behind it.
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    running = state.phase in (JobPhase.RUNNING, JobPhase.STOPPING)
    if command.attempt == state.attempt and running:
        if command.executor_id == state.executor_id:
            return Settled(job)
        return Refusal(Reason.GRANTED_TO_ANOTHER, conclusive=True)
    if job.final:
        return Refusal(Reason.FINAL, conclusive=True)
    if command.attempt > state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt < state.attempt or state.phase is not JobPhase.QUEUED:
        return Refusal(Reason.SUPERSEDED, conclusive=True)
    return _follow(
        job,
        events.Started,
        stamp,
        status=JobInstanceStatus.IN_PROGRESS,
        executor_id=command.executor_id,
        policy=command.policy,
        start_time=state.start_time or stamp.time,
        progress=None,
    )


def _cancel(job: Job, stamp: Stamp) -> Decision:
    match job.state.phase:
        case JobPhase.ENDED | JobPhase.STOPPING:
            return Settled(job)
        case JobPhase.RUNNING:
            return _follow(job, events.CancelRequested, stamp)
        case JobPhase.QUEUED | JobPhase.WAITING:
            return _end(job, events.Cancelled, stamp)


def _retry(job: Job, command: Retry, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.WAITING and command.attempt == job.state.attempt:
        return _requeue(job, RequeueReason.RETRY_DUE, stamp)
    if command.attempt > job.state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    return Settled(job)


def _run(job: Job, command: RunCommand, stamp: Stamp) -> Decision:
    """The commands about a run: only the executor that holds the attempt is heard."""
    state = job.state
    if command.attempt > state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt < state.attempt:
        return Refusal(Reason.SUPERSEDED, conclusive=True)
    if state.executor_id is None:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.executor_id != state.executor_id:
        return Refusal(Reason.GRANTED_TO_ANOTHER, conclusive=True)
    if state.phase in (JobPhase.RUNNING, JobPhase.STOPPING):
        return _RUN_DECISIONS[type(command)](job, command, stamp)
    if _already(state, command):
        return Settled(job)
    return Refusal(Reason.FINAL if job.final else Reason.SUPERSEDED, conclusive=True)


def _already(state: JobState, command: RunCommand) -> bool:
    """Whether the attempt ended as the command says; its executor did not hear the answer."""
    match command:
        case ReportCompleted():
            return state.status is JobInstanceStatus.COMPLETED
        case ReportStopped() | HandBack():
            return state.status is JobInstanceStatus.CANCELLED
        case ReportFailed():
            return state.status is not JobInstanceStatus.COMPLETED
        case LoseLease():
            return True
        case ReportProgress():
            return False


def _progress(job: Job, command: ReportProgress, stamp: Stamp) -> Decision:
    progress = Progress(command.progress.fraction, command.progress.message[:MAX_PROGRESS_CHARS])
    if progress == job.state.progress:
        return Settled(job)
    return _follow(job, events.Progressed, stamp, progress=progress)


def _completed(job: Job, command: ReportCompleted, stamp: Stamp) -> Decision:
    return _end(job, events.Completed, stamp)


def _failed(job: Job, command: ReportFailed, stamp: Stamp) -> Decision:
    state = job.state
    error = with_earlier(command.error, state.error, state.attempt - 1).bounded()
    policy = state.policy or Policy()
    failures = state.failures + 1
    if state.phase is JobPhase.STOPPING and not error.is_permanent:
        return _end(job, events.Cancelled, stamp, failures=failures, error=error)
    if error.is_permanent or failures >= policy.max_attempts:
        return _end(job, events.Failed, stamp, failures=failures, error=error)
    wait = timedelta(seconds=backoff_s(policy, failures, job.job_id))
    return _follow(
        job,
        events.AttemptFailed,
        stamp,
        _data=lambda **data: AttemptFailedData(error=command.error.bounded(), **data),
        failures=failures,
        error=error,
        due_time=stamp.time + wait,
    )


def _stopped(job: Job, command: ReportStopped, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return _end(job, events.Cancelled, stamp)
    # The cancel that stopped the run may lie ahead of what this replica has read.
    return Refusal(Reason.NOT_DISPATCHED, conclusive=False)


def _hand_back(job: Job, command: HandBack, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return _end(job, events.Cancelled, stamp)
    return _requeue(job, RequeueReason.HANDED_BACK, stamp)


def _lose_lease(job: Job, command: LoseLease, stamp: Stamp) -> Decision:
    state = job.state
    failures = state.failures + 1
    lost = ErrorResponse(
        error_code="ExecutorLost",
        message=f"The executor {command.executor_id} was not heard of for a lease.",
        source=ErrorSource.SYSTEM,
        is_permanent=False,
    )
    error = with_earlier(lost, state.error, state.attempt - 1).bounded()
    if state.phase is JobPhase.STOPPING:
        return _end(job, events.Cancelled, stamp, failures=failures, error=error)
    if failures >= (state.policy or Policy()).max_attempts:
        return _end(job, events.Failed, stamp, failures=failures, error=error)
    return _requeue(job, RequeueReason.LEASE_LOST, stamp, failures=failures, error=error)


_RUN_DECISIONS: dict[type[RunCommand], Callable[[Job, Any, Stamp], Decision]] = {
    ReportProgress: _progress,
    ReportCompleted: _completed,
    ReportFailed: _failed,
    ReportStopped: _stopped,
    HandBack: _hand_back,
    LoseLease: _lose_lease,
}


def _end(job: Job, kind: type[events.KnownEvent], stamp: Stamp, **changes: Any) -> Decision:
    status = {
        events.Completed: JobInstanceStatus.COMPLETED,
        events.Failed: JobInstanceStatus.FAILED,
        events.Cancelled: JobInstanceStatus.CANCELLED,
    }[kind]
    return _follow(job, kind, stamp, status=status, end_time=stamp.time, due_time=None, **changes)


def _requeue(job: Job, reason: RequeueReason, stamp: Stamp, **changes: Any) -> Decision:
    return _follow(
        job,
        events.Requeued,
        stamp,
        _data=lambda **data: RequeuedData(
            reason=reason, dispatch=Dispatch(Raw(job.payload)), **data
        ),
        attempt=job.state.attempt + 1,
        executor_id=None,
        policy=None,
        due_time=None,
        **changes,
    )


def _follow(
    job: Job,
    kind: type[events.KnownEvent],
    stamp: Stamp,
    _data: Callable[..., EventData] = EventData,
    **changes: Any,
) -> Decision:
    """The event that follows the job's last one; the table knows the phase after it."""
    state = replace(job.state, phase=TABLE[job.state.phase][kind], **changes)
    # Each event takes its own kind of data; the callers pass the right one.
    build: Callable[..., events.KnownEvent] = kind
    return build(
        id=stamp.event_id,
        source=stamp.source,
        subject=job.job_id,
        time=stamp.time,
        traceparent=job.traceparent or UNSET,
        data=_data(sequence=job.sequence + 1, follows=job.event_id, state=state),
    )
