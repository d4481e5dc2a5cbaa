"""Whose run an attempt is, by the state that a replica has applied."""

import pytest

from fabric_jobs.facade.lifecycle import is_foreign
from tests.support.lifecycle import WAYS, A, B, drive


@pytest.mark.parametrize(
    ("name", "attempt", "executor_id", "foreign"),
    [
        ("running", 1, A, False),
        ("stopping", 1, A, False),
        ("running", 1, B, True),
        ("waiting", 1, A, True),
        ("queued again", 1, A, True),
        ("completed", 1, A, True),
        # The grant may be on the log and not read here yet.
        ("queued", 1, A, False),
        ("queued again", 2, B, False),
        ("running", 2, B, False),
        ("waiting", 2, B, False),
    ],
)
def test_run_is_foreign_only_if_no_event_to_come_can_give_it_back(
    name: str, attempt: int, executor_id: str, *, foreign: bool
) -> None:
    """An executor ends a foreign run."""
    assert is_foreign(drive(WAYS[name]), attempt, executor_id) is foreign
