"""The lines that `fabric-jobs dev` prints about jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fabric_jobs.cli.dev.job_lines import describe_event
from fabric_jobs.status.v1 import job_status_pb2 as pb

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ERROR = pb.Error(error_code="HandlerError", message="no\x1b[31m rows")


def event(name: str, at: float = 0, due: float | None = None, **fields: object) -> str | None:
    """The line about an event; `at` is its time, `due` the time of the next attempt, in seconds."""
    job = pb.Job(job_id="0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5", job_type="refresh", **fields)  # type: ignore[arg-type]
    if due is not None:
        job.due_time.FromDatetime(NOW + timedelta(seconds=due))
    response = pb.WatchJobsResponse(job=job, event_type=f"fabric.jobs.{name}")
    response.event_time.FromDatetime(NOW + timedelta(seconds=at))
    line = describe_event(response)
    return line and line.split(" ", 1)[1]


def test_job_that_starts_has_a_line_with_its_type_and_short_id() -> None:
    """A later attempt is numbered."""
    assert event("started", attempt=1) == "refresh 0f9d2c3e started"
    assert event("started", attempt=3) == "refresh 0f9d2c3e started again, attempt 3"


def test_job_that_is_retried_has_a_line_with_the_error_and_the_wait() -> None:
    """What an exception says can't colour the terminal."""
    assert event("attempt-failed", at=1, due=3.25, attempt=1, error=ERROR) == (
        "refresh 0f9d2c3e attempt 1 failed, the next starts in 2.2 s: "
        "HandlerError: no\\x1b[31m rows"
    )


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("completed", {"status": pb.JOB_INSTANCE_STATUS_COMPLETED}, "Completed after 62.5 s"),
        (
            "failed",
            {
                "status": pb.JOB_INSTANCE_STATUS_FAILED,
                "error": pb.Error(error_code="A", message="b"),
            },
            "Failed after 62.5 s: A: b",
        ),
    ],
)
def test_job_that_ends_has_a_line_with_its_status_and_how_long_it_took(
    name: str, fields: dict[str, Any], text: str
) -> None:
    """The time is that from the first start of the job to its end."""
    end = NOW + timedelta(seconds=62.5)
    assert event(name, start_time=NOW, end_time=end, **fields) == f"refresh 0f9d2c3e {text}"


def test_job_that_ends_before_its_start_says_so() -> None:
    """The line has no duration."""
    line = event("cancelled", status=pb.JOB_INSTANCE_STATUS_CANCELLED, end_time=NOW)
    assert line == "refresh 0f9d2c3e Cancelled before it started"


@pytest.mark.parametrize("name", ["requested", "progressed", "requeued", "later", ""])
def test_other_event_has_no_line(name: str) -> None:
    """A job has a line when it starts, is retried and ends."""
    assert event(name) is None
