"""The next deadline of a job in each phase."""

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
    next_deadline,
)
from tests.support.controls import pause
from tests.support.lifecycle import (
    JOB,
    apply_event,
    at,
    decide_event,
    job_in,
    stamp,
    unknown_event,
)

DAY = timedelta(hours=24)


def known(name: str, **changes: object) -> Job:
    """The job of `WAYS[name]`, with these fields of its state changed."""
    job = job_in(name)
    assert job is not None
    return replace(job, state=replace(job.state, **changes))


def test_next_deadline_of_unstarted_job_is_before_fabric_gives_it_up() -> None:
    """An unstarted job fails 110 minutes after its creation; Fabric gives it up after 2 hours."""
    job = known("queued")
    assert next_deadline(job, DAY) == (
        job.state.create_time + timedelta(minutes=110),
        FailUnstarted(job_id=job.job_id),
    )


@pytest.mark.parametrize(
    ("last_served", "words"),
    [
        (None, "Org.Workload.Item.Job sent a heartbeat in the last hour. Start one."),
        (at(3661), "last at 2026-01-01 01:01:01 UTC"),
    ],
)
def test_fail_unstarted_error_says_when_an_executor_last_served_the_type(
    last_served: datetime | None, words: str
) -> None:
    """The error says that no executor has a handler, or when the last one sent a heartbeat."""
    event = decide_event(
        known("queued"), FailUnstarted(job_id=JOB, last_served=last_served), stamp("late", 6600)
    )
    error = event.data.state.error
    assert error is not None
    assert (error.error_code, error.is_permanent) == ("JobNotStarted", False)
    assert error.message.startswith("No executor took the job within 110 minutes, ")
    assert words in error.message


def test_fail_unstarted_error_of_a_paused_type_names_the_pause() -> None:
    """The error has a code of its own, and says who paused the type, when and why."""
    control = pause("Org.Workload.Item", "Org.Workload.Item.Job", "the warehouse is moved")
    command = FailUnstarted(job_id=JOB, last_served=at(1), pause=control)
    event = decide_event(known("queued"), command, stamp("late", 6600))
    error = event.data.state.error

    assert error is not None
    assert (error.error_code, event.data.state.exhausted) == ("JobTypePaused", False)
    assert error.message == (
        "No executor took the job within 110 minutes, because Org.Workload.Item "
        "Org.Workload.Item.Job was paused at 2026-01-01 00:00:00 UTC by ada (the warehouse is "
        "moved). Resume the job type, and retry the job."
    )


def test_next_deadline_of_requeued_job_is_its_longest_life() -> None:
    """The start deadline does not apply to a job that has started once."""
    job = known("queued again")
    assert next_deadline(job, DAY) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


def test_next_deadline_of_waiting_job_is_its_due_time() -> None:
    """A waiting job is retried at the due time that its failure set."""
    job = known("waiting")
    assert next_deadline(job, DAY) == (
        job.state.due_time,
        Retry(job_id=job.job_id, attempt=job.state.attempt),
    )


def test_next_deadline_of_running_job_is_its_run_timeout() -> None:
    """The timeout counts from the attempt's start; without one, the longest life applies."""
    job = known("running", policy=Policy(run_timeout_s=30))
    start = job.state.attempt_start_time
    assert start is not None
    assert next_deadline(job, DAY) == (
        start + timedelta(seconds=30),
        TimeOutRun(job_id=job.job_id, attempt=1),
    )
    endless = known("running", policy=Policy())
    assert next_deadline(endless, DAY) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


def test_next_deadline_of_stopping_job_is_the_end_of_its_cancel_grace() -> None:
    """The grace counts from the time of the cancel."""
    job = known("stopping", policy=Policy(cancel_grace_s=7))
    asked = job.state.cancel_time
    assert asked is not None
    assert next_deadline(job, DAY) == (
        asked + timedelta(seconds=7),
        ForceCancel(job_id=job.job_id, attempt=1),
    )


def test_next_deadline_with_long_backoff_or_timeout_is_the_longest_life() -> None:
    """A backoff or timeout of more than 24 hours does not keep a job unfinished for longer."""
    waiting = known("waiting")
    late = known("waiting", due_time=waiting.state.create_time + 2 * DAY)
    running = known("running", policy=Policy(run_timeout_s=3 * 86_400))
    for job in (late, running):
        assert next_deadline(job, DAY) == (job.state.create_time + DAY, Expire(job_id=job.job_id))


@pytest.mark.parametrize("longest", [timedelta(hours=2), timedelta(days=24)])
def test_next_deadline_follows_the_longest_life_of_the_service(longest: timedelta) -> None:
    """The command carries it, so that the error of the job that it ends can name it."""
    job = known("queued again")
    expire = Expire(job_id=job.job_id, longest_life=longest)
    assert next_deadline(job, longest) == (job.state.create_time + longest, expire)
    error = decide_event(job, expire, stamp()).data.state.error

    assert error
    assert f"within {longest / timedelta(hours=1):.0f} hours" in error.message


def test_next_deadline_of_final_job_is_none() -> None:
    """Time changes no final job."""
    for name in ("completed", "failed", "cancelled", "stopped"):
        job = known(name)
        assert job.state.phase is JobPhase.ENDED
        assert next_deadline(job, DAY) is None


def test_next_deadline_of_job_whose_last_event_is_of_a_later_version_is_none() -> None:
    """No command is decided on the job here, so a deadline would stay due for ever."""
    job = known("running")
    assert next_deadline(apply_event(job, unknown_event(job)), DAY) is None


@pytest.mark.parametrize(
    ("name", "changes", "after_s"),
    [
        ("running", {"policy": None}, None),
        ("running", {"policy": Policy(run_timeout_s=30), "attempt_start_time": None}, 30),
        ("waiting", {"due_time": None}, None),
        ("stopping", {"policy": None}, None),
        ("stopping", {"cancel_time": None}, None),
    ],
)
def test_next_deadline_of_a_state_that_no_facade_wrote_is_never_an_error(
    name: str, changes: dict[str, object], after_s: float | None
) -> None:
    """Such a record would otherwise end every replica that reads it."""
    job = known(name, **changes)
    deadline = next_deadline(job, DAY)

    assert deadline
    assert deadline.time - job.state.create_time == (
        DAY if after_s is None else timedelta(seconds=after_s)
    )
