"""When time alone changes a job, and by which command."""

from datetime import datetime, timedelta
from typing import NamedTuple

from fabric_jobs.contract.failures import MAX_LIFE
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

#: Fabric gives a job up that has not started within 2 hours: ours fails before that, and says why.
START_DEADLINE = timedelta(minutes=110)


class Due(NamedTuple):
    """What is to be asked of a job, and when."""

    time: datetime
    command: Command


def due(job: Job) -> Due | None:
    """What time does to the job next; nothing where it is final."""
    state = job.state
    if job.final:
        return None
    last = Due(state.create_time + MAX_LIFE, Expire(job_id=job.job_id))
    first: Due | None = None
    granted = state.attempt_start_time or state.create_time
    match state.phase:
        case JobPhase.QUEUED if state.start_time is None:
            first = Due(state.create_time + START_DEADLINE, FailUnstarted(job_id=job.job_id))
        case JobPhase.WAITING if state.due_time:
            first = Due(state.due_time, Retry(job_id=job.job_id, attempt=state.attempt))
        case JobPhase.RUNNING if state.policy and state.policy.run_timeout_s:
            first = Due(
                granted + _within_life(state.policy.run_timeout_s),
                TimeOutRun(job_id=job.job_id, attempt=state.attempt),
            )
        case JobPhase.STOPPING if state.policy and state.cancel_time:
            stop = ForceCancel(job_id=job.job_id, attempt=state.attempt)
            first = Due(state.cancel_time + _within_life(state.policy.cancel_grace_s), stop)
    return min(first, last, key=lambda one: one.time) if first else last


def _within_life(seconds: float) -> timedelta:
    """A policy's time, cut to what makes a difference: no calendar reaches as far as some would."""
    return timedelta(seconds=min(seconds, MAX_LIFE.total_seconds()))
