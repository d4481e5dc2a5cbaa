"""A job's next deadline: when time alone changes the job, and by which command."""

from datetime import datetime, timedelta
from typing import NamedTuple

from fabric_jobs.contract.failures import MAX_LIFE, START_DEADLINE
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle.commands import (
    Command,
    Expire,
    FailUnstarted,
    ForceCancel,
    Retry,
    TimeOutRun,
)
from fabric_jobs.facade.lifecycle.job import Job


class JobDeadline(NamedTuple):
    """The command that a replica executes for the job once this time (UTC) has come."""

    time: datetime
    command: Command


def next_deadline(job: Job) -> JobDeadline | None:
    """The job's next deadline, which its state determines; None if the job is final."""
    state = job.state
    if job.final:
        return None
    last = JobDeadline(state.create_time + MAX_LIFE, Expire(job_id=job.job_id))
    first: JobDeadline | None = None
    granted = state.attempt_start_time or state.create_time
    match state.phase:
        case JobPhase.QUEUED if state.start_time is None:
            start_by = state.create_time + START_DEADLINE
            first = JobDeadline(start_by, FailUnstarted(job_id=job.job_id))
        case JobPhase.WAITING if state.due_time:
            first = JobDeadline(state.due_time, Retry(job_id=job.job_id, attempt=state.attempt))
        case JobPhase.RUNNING if state.policy and state.policy.run_timeout_s:
            first = JobDeadline(
                granted + timedelta(seconds=state.policy.run_timeout_s),
                TimeOutRun(job_id=job.job_id, attempt=state.attempt),
            )
        case JobPhase.STOPPING if state.policy and state.cancel_time:
            stop = ForceCancel(job_id=job.job_id, attempt=state.attempt)
            first = JobDeadline(
                state.cancel_time + timedelta(seconds=state.policy.cancel_grace_s), stop
            )
    return min(first, last, key=lambda deadline: deadline.time) if first else last
