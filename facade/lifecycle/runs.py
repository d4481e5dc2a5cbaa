"""What the commands about a run lead to: only the executor that holds the attempt is heard."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fabric_jobs import events
from fabric_jobs.events import AttemptFailedData, RequeueReason
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
    HandBack,
    LoseLease,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    RunCommand,
    Stamp,
)
from facade.lifecycle.decision import Decision, Reason, Refusal, Settled
from facade.lifecycle.follow import end, follow, requeue
from facade.lifecycle.job import Job
from facade.lifecycle.retry import backoff_s, with_earlier


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
    return follow(job, events.Progressed, stamp, progress=progress)


def _completed(job: Job, command: ReportCompleted, stamp: Stamp) -> Decision:
    return end(job, events.Completed, stamp)


def _failed(job: Job, command: ReportFailed, stamp: Stamp) -> Decision:
    state = job.state
    error = with_earlier(command.error, state.error, state.attempt - 1).bounded()
    policy = state.policy or Policy()
    failures = state.failures + 1
    if state.phase is JobPhase.STOPPING and not error.is_permanent:
        return end(job, events.Cancelled, stamp, failures=failures, error=error)
    if error.is_permanent or failures >= policy.max_attempts:
        return end(job, events.Failed, stamp, failures=failures, error=error)
    wait = timedelta(seconds=backoff_s(policy, failures, job.job_id))
    return follow(
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
        return end(job, events.Cancelled, stamp)
    # The cancel that stopped the run may lie ahead of what this replica has read.
    return Refusal(Reason.NOT_DISPATCHED, conclusive=False)


def _hand_back(job: Job, command: HandBack, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.STOPPING:
        return end(job, events.Cancelled, stamp)
    return requeue(job, RequeueReason.HANDED_BACK, stamp)


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
        return end(job, events.Cancelled, stamp, failures=failures, error=error)
    if failures >= (state.policy or Policy()).max_attempts:
        return end(job, events.Failed, stamp, failures=failures, error=error)
    return requeue(job, RequeueReason.LEASE_LOST, stamp, failures=failures, error=error)


_RUN_DECISIONS: dict[type[RunCommand], Callable[[Job, Any, Stamp], Decision]] = {
    ReportProgress: _progress,
    ReportCompleted: _completed,
    ReportFailed: _failed,
    ReportStopped: _stopped,
    HandBack: _hand_back,
    LoseLease: _lose_lease,
}
