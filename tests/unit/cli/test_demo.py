"""When the demonstration has shown the whole story."""

from datetime import UTC, datetime

import pytest

from fabric_jobs.cli.clients.fabric import JobInstanceState
from fabric_jobs.cli.dev.demo import describe, what_is_missing
from fabric_jobs.contract.jobs import ErrorResponse, ErrorSource, JobInstanceStatus

TIME = datetime(2026, 1, 1, tzinfo=UTC)
NOT_STARTED = JobInstanceState(JobInstanceStatus.NOT_STARTED)
IN_PROGRESS = JobInstanceState(JobInstanceStatus.IN_PROGRESS, TIME)
COMPLETED = JobInstanceState(JobInstanceStatus.COMPLETED, TIME, TIME)
FAILED = JobInstanceState(
    JobInstanceStatus.FAILED,
    TIME,
    TIME,
    ErrorResponse(error_code="No", message="Not so.", source=ErrorSource.USER),
)


def test_the_three_states_with_both_times_are_the_story() -> None:
    """Nothing is missing."""
    assert what_is_missing([NOT_STARTED, IN_PROGRESS, COMPLETED]) is None


@pytest.mark.parametrize(
    ("seen", "missed"),
    [
        ([], "NotStarted"),
        ([IN_PROGRESS, COMPLETED], "NotStarted"),
        ([NOT_STARTED, COMPLETED], "InProgress"),
        ([NOT_STARTED, IN_PROGRESS], "Completed"),
        ([NOT_STARTED, IN_PROGRESS, FAILED], "Completed"),
        ([NOT_STARTED, IN_PROGRESS, NOT_STARTED, IN_PROGRESS, COMPLETED], "order"),
        (
            [NOT_STARTED, IN_PROGRESS, JobInstanceState(JobInstanceStatus.COMPLETED, None, TIME)],
            "startTimeUtc",
        ),
        (
            [NOT_STARTED, IN_PROGRESS, JobInstanceState(JobInstanceStatus.COMPLETED, TIME)],
            "endTimeUtc",
        ),
    ],
)
def test_what_was_missed_is_named(seen: list[JobInstanceState], missed: str) -> None:
    """A demonstration that shows less has failed."""
    told = what_is_missing(seen)

    assert told is not None
    assert missed in told


def test_a_state_is_shown_with_what_it_has() -> None:
    """Its times and its error, in a line."""
    assert describe(NOT_STARTED) == "NotStarted"
    assert describe(COMPLETED) == (
        "Completed  startTimeUtc=2026-01-01T00:00:00+00:00 endTimeUtc=2026-01-01T00:00:00+00:00"
    )
    assert describe(FAILED).endswith("No: Not so.")
