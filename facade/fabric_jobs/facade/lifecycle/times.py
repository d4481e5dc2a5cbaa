"""Decides the commands that a replica gives when a job's deadline has come."""

from datetime import timedelta

from fabric_jobs.contract import failures
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.events import RequeueReason
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.facade.lifecycle.commands import (
    Expire,
    FailUnstarted,
    Retry,
    Stamp,
    TimeCommand,
    TimeOutRun,
)
from fabric_jobs.facade.lifecycle.decision import Decision, Reason, Refusal, Settled
from fabric_jobs.facade.lifecycle.follow import end, requeue
from fabric_jobs.facade.lifecycle.job import Job
from fabric_jobs.facade.lifecycle.runs import fail_attempt


def decide_time(job: Job, command: TimeCommand, stamp: Stamp) -> Decision:
    """The event that carries the command out; `Settled` if the deadline no longer applies."""
    if isinstance(command, FailUnstarted):
        return _fail_unstarted(job, command, stamp)
    if isinstance(command, Expire):
        return _expire(job, command, stamp)
    state = job.state
    if command.attempt > state.attempt:
        return Refusal(Reason.NOT_DISPATCHED, conclusive=False)
    if command.attempt < state.attempt:
        return Settled(job)
    if isinstance(command, Retry):
        if state.phase is JobPhase.WAITING:
            return requeue(job, RequeueReason.RETRY_DUE, stamp)
    elif isinstance(command, TimeOutRun):
        if state.phase is JobPhase.RUNNING:
            return fail_attempt(job, failures.RUN_TIMED_OUT, stamp)
    elif state.phase is JobPhase.STOPPING:
        return end(job, stamp, status=JobInstanceStatus.CANCELLED)
    return Settled(job)


def _fail_unstarted(job: Job, command: FailUnstarted, stamp: Stamp) -> Decision:
    if job.state.phase is JobPhase.QUEUED and job.state.start_time is None:
        return end(
            job,
            stamp,
            status=JobInstanceStatus.FAILED,
            error=_unstarted_error(job, command),
        )
    return Settled(job)


def _expire(job: Job, command: Expire, stamp: Stamp) -> Decision:
    if job.final:
        return Settled(job)
    return end(job, stamp, **failures.expiry_changes(job.state, command.longest_life))


def _unstarted_error(job: Job, command: FailUnstarted) -> ErrorResponse:
    """The error of a job that no executor started, and what an operator can do about it."""
    kind = f"{job.state.item_type} {job.state.job_type}"
    pause, last_served = command.pause, command.last_served
    if pause:
        by = f" by {pause.by}" if pause.by else ""
        reason = f" ({pause.reason})" if pause.reason else ""
        why = (
            f"because {kind} was paused at {pause.time:%Y-%m-%d %H:%M:%S} UTC{by}{reason}. Resume "
            "the job type, and retry the job"
        )
    elif last_served is None:
        # A facade reads the heartbeats of the last hour when it starts.
        why = f"and none with a handler for {kind} sent a heartbeat in the last hour. Start one"
    else:
        why = (
            f"although one with a handler for {kind} sent a heartbeat, the last at "
            f"{last_served:%Y-%m-%d %H:%M:%S} UTC. Give the executors more slots, or start more"
        )
    minutes = START_DEADLINE // timedelta(minutes=1)
    return ErrorResponse(
        error_code="JobTypePaused" if pause else "JobNotStarted",
        message=f"No executor took the job within {minutes} minutes, {why}.",
        source=ErrorSource.SYSTEM,
        is_permanent=False,
    )
