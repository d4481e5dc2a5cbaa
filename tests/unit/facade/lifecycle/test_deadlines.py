"""When time alone changes a job."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.jobs import JobPhase, Policy
from fabric_jobs.facade.lifecycle import (
    Expire,
    FailUnstarted,
    ForceCancel,
    Job,
    Retry,
    TimeOutRun,
    due,
)
from tests.support.lifecycle import JOB, at, decided, job_in, stamp

DAY = timedelta(hours=24)


def known(name: str, **changes: object) -> Job:
    """A job in that phase, with another state."""
    job = job_in(name)
    assert job is not None
    return replace(job, state=replace(job.state, **changes))


def test_a_job_that_nobody_takes_fails_before_fabric_gives_it_up() -> None:
    """110 minutes after its creation, which is within Fabric's two hours."""
    job = known("queued")
    assert due(job) == (
        job.state.create_time + timedelta(minutes=110),
        FailUnstarted(job_id=job.job_id),
    )


@pytest.mark.parametrize(
    ("last_served", "words"),
    [(None, "none with a handler for Org.Workload.Item"), (at(3661), "last at 01:01:01 UTC")],
)
def test_a_job_that_nobody_took_says_whether_it_was_served_at_all(
    last_served: datetime | None, words: str
) -> None:
    """By name where no executor has a handler, else when one was last heard of."""
    event = decided(
        known("queued"), FailUnstarted(job_id=JOB, last_served=last_served), stamp("late", 6600)
    )
    error = event.data.state.error
    assert error is not None
    assert error.error_code == "JobNotStarted"
    assert words in error.message


def test_a_retried_job_that_waits_for_an_executor_has_its_life_before_it() -> None:
    """The start deadline is over once it has started."""
    job = known("queued again")
    assert due(job) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


def test_a_waiting_job_is_due_when_its_backoff_is_over() -> None:
    """The due time that the failure set."""
    job = known("waiting")
    assert due(job) == (job.state.due_time, Retry(job_id=job.job_id, attempt=job.state.attempt))


def test_a_run_is_due_at_its_timeout_where_it_has_one() -> None:
    """From the start of this attempt; else at the end of the job's life."""
    job = known("running", policy=Policy(run_timeout_s=30))
    start = job.state.attempt_start_time
    assert start is not None
    assert due(job) == (start + timedelta(seconds=30), TimeOutRun(job_id=job.job_id, attempt=1))
    endless = known("running", policy=Policy())
    assert due(endless) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


def test_a_cancel_is_forced_when_its_grace_is_over() -> None:
    """From when the cancel was asked for."""
    job = known("stopping", policy=Policy(cancel_grace_s=7))
    asked = job.state.cancel_time
    assert asked is not None
    assert due(job) == (asked + timedelta(seconds=7), ForceCancel(job_id=job.job_id, attempt=1))


def test_no_time_outlasts_the_longest_life() -> None:
    """A long backoff or timeout ends with the job's day."""
    waiting = known("waiting")
    late = known("waiting", due_time=waiting.state.create_time + 2 * DAY)
    running = known("running", policy=Policy(run_timeout_s=3 * 86_400))
    for job in (late, running):
        assert due(job) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


def test_nothing_is_due_of_a_final_job() -> None:
    """Final is final."""
    for name in ("completed", "failed", "cancelled", "stopped"):
        job = known(name)
        assert job.state.phase is JobPhase.ENDED
        assert due(job) is None
