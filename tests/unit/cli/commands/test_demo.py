"""`fabric-jobs demo`: when its states count as success."""

from datetime import UTC, datetime

import pytest

from fabric_jobs.cli.clients.fabric import JobInstanceState
from fabric_jobs.cli.commands.demo import describe, find_problem
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.contract.jobs import JobInstanceStatus

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


def test_three_states_with_both_times_are_no_problem() -> None:
    """This is the success of the demo."""
    assert find_problem([NOT_STARTED, IN_PROGRESS, COMPLETED]) is None


@pytest.mark.parametrize(
    ("states", "problem"),
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
def test_missing_state_or_time_is_named_as_the_problem(
    states: list[JobInstanceState], problem: str
) -> None:
    """A demo that shows less has failed."""
    found = find_problem(states)

    assert found is not None
    assert problem in found


def test_state_is_described_with_its_times_and_its_error() -> None:
    """The description is one line."""
    assert describe(NOT_STARTED) == "NotStarted"
    assert describe(COMPLETED) == (
        "Completed  startTimeUtc=2026-01-01T00:00:00+00:00 endTimeUtc=2026-01-01T00:00:00+00:00"
    )
    assert describe(FAILED).endswith("No: Not so.")
