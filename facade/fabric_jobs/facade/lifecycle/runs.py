"""What the commands about a run lead to: only the executor that holds the attempt is heard."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from fabric_jobs.contract import events, failures
from fabric_jobs.contract.events import AttemptFailedData, RequeueReason
from fabric_jobs.contract.jobs import (
    MAX_PROGRESS_CHARS,
    ErrorResponse,
    ErrorSource,
    JobInstanceStatus,
    JobPhase,
    JobState,
    Policy,
    Progress,
    bounded_traceback,
)
from fabric_jobs.facade.lifecycle.commands import (
    HandBack,
    LoseLease,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    RunCommand,
    Stamp,
)
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled
from fabric_jobs.facade.lifecycle.follow import end, follow, requeue
from fabric_jobs.facade.lifecycle.job import Job


def fail_attempt(job: Job, error: ErrorResponse, stamp: Stamp) -> Decision:
    """What one more failure leads to, by the policy that the grant recorded."""

    def wait(policy: Policy, failure: dict[str, Any]) -> Decision:
        backoff = timedelta(seconds=failures.backoff_s(policy, failure["failures"], job.job_id))
        return follow(
            job,
            events.AttemptFailed,
            stamp,
            _data=lambda **data: AttemptFailedData(error=error, **data),
            due_time=stamp.time + backoff,
            **failure,
        )

    return _fail(job, error, stamp, wait)


def _fail(
    job: Job,
    error: ErrorResponse,
    stamp: Stamp,
    try_again: Callable[[Policy, dict[str, Any]], Decision],
) -> Decision:
    """Counts the failure: it ends the job, or the job is tried again."""
    failure = failures.failed(job.state, error)
    if failure["status"] is JobInstanceStatus.IN_PROGRESS:
        return try_again(job.state.policy or Policy(), failure)
    return end(job, stamp, **failure)


def decide_run(job: Job, command: RunCommand, stamp: Stamp) -> Decision:
    """The event that a run's command leads to, or why there is none."""
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
    if _already(state, command):
        return Settled(job)
    if job.final:
        return Refusal(Reason.FINAL, conclusive=True)
    # The job waits. A cancel further on would end it as these two would have.
    settled_by_cancel = isinstance(command, ReportStopped | HandBack)
    return Refusal(Reason.SUPERSEDED, conclusive=not settled_by_cancel)


def is_foreign(job: Job, attempt: int, executor_id: str) -> bool:
    """Whether no further reading can make a run of this attempt the executor's again."""
    state = job.state
    if job.final or attempt < state.attempt:
        return True
    held = state.executor_id is not None and attempt == state.attempt
    return held and (state.executor_id != executor_id or state.phase is JobPhase.WAITING)


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
    return follow(job, events.Progressed, stamp, progress=progress)


def _completed(job: Job, command: ReportCompleted, stamp: Stamp) -> Decision:
    return end(job, stamp, status=JobInstanceStatus.COMPLETED)


def _failed(job: Job, command: ReportFailed, stamp: Stamp) -> Decision:
    failure = fail_attempt(job, command.error.bounded(), stamp)
    if not command.traceback or not isinstance(failure, events.AttemptFailed | events.Failed):
        return failure
    traceback = bounded_traceback(command.traceback)
    return replace(failure, data=replace(failure.data, traceback=traceback))


def _stopped(job: Job, command: ReportStopped, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return end(job, stamp, status=JobInstanceStatus.CANCELLED)
    # The cancel that stopped the run may lie ahead of what this replica has read.
    return Refusal(Reason.NOT_DISPATCHED, conclusive=False)


def _hand_back(job: Job, command: HandBack, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return end(job, stamp, status=JobInstanceStatus.CANCELLED)
    return requeue(job, RequeueReason.HANDED_BACK, stamp)


def _lose_lease(job: Job, command: LoseLease, stamp: Stamp) -> Decision:
    lost = ErrorResponse(
        error_code="ExecutorLost",
        message=f"The executor {command.executor_id} was not heard of for a lease.",
        source=ErrorSource.SYSTEM,
        is_permanent=False,
    )

    def requeued(_: Policy, failure: dict[str, Any]) -> Decision:
        return requeue(job, RequeueReason.LEASE_LOST, stamp, **failure)

    return _fail(job, lost, stamp, requeued)


_RUN_DECISIONS: dict[type[RunCommand], Callable[[Job, Any, Stamp], Decision]] = {
    ReportProgress: _progress,
    ReportCompleted: _completed,
    ReportFailed: _failed,
    ReportStopped: _stopped,
    HandBack: _hand_back,
    LoseLease: _lose_lease,
}
