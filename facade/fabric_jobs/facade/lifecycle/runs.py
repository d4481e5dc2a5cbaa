"""Decides the commands about a run. Only the executor that holds the attempt may change the job."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract import events, failures
from fabric_jobs.contract.errors import (
    MAX_LOG_TAIL_BYTES,
    ErrorResponse,
    ErrorSource,
    truncate_to_end,
    truncate_traceback,
)
from fabric_jobs.contract.events import AttemptFailedData, CheckpointedData, RequeueReason
from fabric_jobs.contract.jobs import (
    MAX_PROGRESS_CHARS,
    JobInstanceStatus,
    JobPhase,
    JobState,
    Policy,
    Progress,
)
from fabric_jobs.facade.lifecycle.commands import (
    HandBack,
    LoseLease,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    RunCommand,
    SaveCheckpoint,
    Stamp,
)
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled
from fabric_jobs.facade.lifecycle.follow import end, follow, requeue
from fabric_jobs.facade.lifecycle.job import Job


def fail_attempt(
    job: Job, error: ErrorResponse, stamp: Stamp, handler_end_time: datetime | None = None
) -> Decision:
    """The event that follows when the running attempt fails: a wait for the next, or the end."""

    def wait_for_backoff(policy: Policy, failure: dict[str, Any]) -> Decision:
        backoff = timedelta(seconds=failures.backoff_s(policy, failure["failures"], job.job_id))
        return follow(
            job,
            events.AttemptFailed,
            stamp,
            _data=lambda **data: AttemptFailedData(error=error, **data),
            due_time=stamp.time + backoff,
            **failure,
        )

    return _fail(job, error, stamp, wait_for_backoff, handler_end_time)


def _fail(
    job: Job,
    error: ErrorResponse,
    stamp: Stamp,
    try_again: Callable[[Policy, dict[str, Any]], Decision],
    handler_end_time: datetime | None = None,
) -> Decision:
    """Counts the failure; calls `try_again` if the job's policy allows another attempt."""
    failure = failures.failure_changes(job.state, error)
    if failure["status"] is JobInstanceStatus.IN_PROGRESS:
        return try_again(job.state.policy or Policy(), failure)
    return end(job, stamp, handler_end_time=handler_end_time, **failure)


def decide_run(job: Job, command: RunCommand, stamp: Stamp) -> Decision:
    """The event that carries out a run's command, or the reason why there is none."""
    state = job.state
    if command.attempt > state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt < state.attempt:
        return Refusal(Reason.SUPERSEDED, conclusive=True)
    if state.executor_id is None:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.executor_id != state.executor_id:
        return Refusal(Reason.GRANTED_TO_ANOTHER, conclusive=True)
    if state.held:
        return _RUN_DECISIONS[type(command)](job, command, stamp)
    if _has_ended_as_reported(state, command):
        return Settled(job)
    if job.final:
        return Refusal(Reason.FINAL, conclusive=True)
    # The job waits for its next attempt. A cancel that is not read yet would end it as Cancelled,
    # and then these two commands would be settled.
    settled_by_cancel = isinstance(command, ReportStopped | HandBack)
    return Refusal(Reason.SUPERSEDED, conclusive=not settled_by_cancel)


def is_foreign(job: Job, attempt: int, executor_id: str) -> bool:
    """Whether the executor does not hold this attempt, and no event to come can give it back."""
    state = job.state
    if job.final or attempt < state.attempt:
        return True
    held = state.executor_id is not None and attempt == state.attempt
    return held and (state.executor_id != executor_id or state.phase is JobPhase.WAITING)


def _has_ended_as_reported(state: JobState, command: RunCommand) -> bool:
    """Whether the attempt has ended as the command says: the report is a repetition."""
    match command:
        case ReportCompleted():
            return state.status is JobInstanceStatus.COMPLETED
        case ReportStopped() | HandBack():
            return state.status is JobInstanceStatus.CANCELLED
        case ReportFailed():
            return state.status is not JobInstanceStatus.COMPLETED
        case LoseLease():
            return True
        case ReportProgress() | SaveCheckpoint():
            return False


def _decide_progress(job: Job, command: ReportProgress, stamp: Stamp) -> Decision:
    progress = Progress(command.progress.fraction, command.progress.message[:MAX_PROGRESS_CHARS])
    if progress == job.state.progress:
        return Settled(job, conclusive=False)
    return follow(job, events.Progressed, stamp, progress=progress)


def _decide_checkpoint(job: Job, command: SaveCheckpoint, stamp: Stamp) -> Decision:
    if command.checkpoint == job.checkpoint:
        return Settled(job, conclusive=False)
    return follow(
        job,
        events.Checkpointed,
        stamp,
        _data=lambda **data: CheckpointedData(checkpoint=Raw(command.checkpoint), **data),
    )


def _decide_completed(job: Job, command: ReportCompleted, stamp: Stamp) -> Decision:
    ended = command.handler_end_time
    return end(job, stamp, status=JobInstanceStatus.COMPLETED, handler_end_time=ended)


def _decide_failed(job: Job, command: ReportFailed, stamp: Stamp) -> Decision:
    failure = fail_attempt(job, command.error.truncate(), stamp, command.handler_end_time)
    if not isinstance(failure, events.AttemptFailed | events.Failed):
        return failure
    data = replace(
        failure.data,
        traceback=truncate_traceback(command.traceback) or UNSET,
        log_tail=truncate_to_end(command.log_tail, MAX_LOG_TAIL_BYTES) or UNSET,
    )
    return replace(failure, data=data)


def _decide_stopped(job: Job, command: ReportStopped, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return _cancel(job, command, stamp)
    # The cancel that stopped the run may be on the log and not read here yet.
    return Refusal(Reason.NOT_CANCELLED, conclusive=False)


def _decide_hand_back(job: Job, command: HandBack, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return _cancel(job, command, stamp)
    return requeue(job, RequeueReason.HANDED_BACK, stamp)


def _cancel(job: Job, command: ReportStopped | HandBack, stamp: Stamp) -> Decision:
    ended = command.handler_end_time
    return end(job, stamp, status=JobInstanceStatus.CANCELLED, handler_end_time=ended)


def _decide_lose_lease(job: Job, command: LoseLease, stamp: Stamp) -> Decision:
    lost = ErrorResponse(
        error_code="ExecutorLost",
        message=f"The executor {command.executor_id} sent no heartbeat for its run during a lease.",
        source=ErrorSource.SYSTEM,
        is_permanent=False,
    )

    def dispatch_again(_: Policy, failure: dict[str, Any]) -> Decision:
        return requeue(job, RequeueReason.LEASE_LOST, stamp, **failure)

    return _fail(job, lost, stamp, dispatch_again)


_RUN_DECISIONS: dict[type[RunCommand], Callable[[Job, Any, Stamp], Decision]] = {
    ReportProgress: _decide_progress,
    SaveCheckpoint: _decide_checkpoint,
    ReportCompleted: _decide_completed,
    ReportFailed: _decide_failed,
    ReportStopped: _decide_stopped,
    HandBack: _decide_hand_back,
    LoseLease: _decide_lose_lease,
}
