"""A job's next deadline: when time alone changes the job, and by which command."""

from datetime import datetime, timedelta
from typing import NamedTuple

from fabric_jobs.contract.failures import START_DEADLINE
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


def next_deadline(job: Job, longest_life: timedelta) -> JobDeadline | None:
    """The job's next deadline, which its state determines.

    It is None if the job is final, or if this version can't decide about the job, because a
    deadline that is never carried out would stay due and delay the deadlines of other jobs.
    `longest_life` is the time from a job's creation after which the service ends it.
    """
    state = job.state
    if job.final or not job.decidable:
        return None
    expire = Expire(job_id=job.job_id, longest_life=longest_life)
    last = JobDeadline(state.create_time + longest_life, expire)
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
