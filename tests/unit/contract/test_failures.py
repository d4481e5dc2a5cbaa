"""Backoffs, and the limits of a job's life."""

from datetime import timedelta

import pytest

from fabric_jobs.contract.failures import (
    DEFAULT_LONGEST_LIFE,
    MAX_LONGEST_LIFE,
    MIN_LONGEST_LIFE,
    START_DEADLINE,
    backoff_s,
    expiry_changes,
    find_run_timeout_fault,
)
from fabric_jobs.contract.jobs import Policy
from fabric_jobs.contract.scalars import MAX_COUNT
from tests.support.lifecycle import WAYS, drive

HOUR = timedelta(hours=1)


def test_backoff_is_capped_and_jitter_only_shortens_it() -> None:
    """A backoff is at most its cap, at least its cap less the jitter, and always the same."""
    policy = Policy(initial_backoff_s=1, backoff_multiplier=2, max_backoff_s=5, jitter=0.5)
    for failures, full in ((1, 1), (2, 2), (3, 4), (4, 5), (50, 5), (10_000, 5)):
        waits = [backoff_s(policy, failures, f"job-{n}") for n in range(20)]
        assert all(full * 0.5 <= wait <= full for wait in waits)
        assert len(set(waits)) > 10
        assert waits == [backoff_s(policy, failures, f"job-{n}") for n in range(20)]


def test_start_deadline_is_before_fabric_gives_a_job_up() -> None:
    """Fabric gives a job up that has not started within 2 hours."""
    assert timedelta(minutes=110) == START_DEADLINE < timedelta(hours=2)


def test_longest_lives_lie_between_the_start_deadline_and_fabric_s_bound() -> None:
    """Fabric ends a job after 24 days. A job that never starts fails before its life is over."""
    assert START_DEADLINE < MIN_LONGEST_LIFE < DEFAULT_LONGEST_LIFE == timedelta(hours=24)
    assert timedelta(days=24) == MAX_LONGEST_LIFE


@pytest.mark.parametrize(
    ("longest_life", "words"),
    [(timedelta(days=1), "24 hours"), (timedelta(days=24), "576 hours"), (1.5 * HOUR, "1.5 hours")],
)
def test_error_of_an_expired_job_names_the_longest_life(
    longest_life: timedelta, words: str
) -> None:
    """The message says it in hours."""
    running = drive(WAYS["running"]).state
    error = expiry_changes(running, longest_life)["error"]

    assert error.error_code == "JobExpired"
    assert error.message == f"The job was not finished within {words}."


def test_run_timeout_beyond_the_longest_life_is_a_fault_that_names_both() -> None:
    """A timeout of exactly the longest life is none, and neither is no timeout."""
    fault = find_run_timeout_fault("Item", "job", 172_800, 86_400)

    assert fault == (
        "The handler of Item job has run_timeout_s=172800, and the service ends every job after "
        "86400 s. Lower run_timeout_s, or raise FABRIC_JOBS_LONGEST_LIFE_S of all facades."
    )
    assert find_run_timeout_fault("Item", "job", 86_400.5, 86_400)
    assert not find_run_timeout_fault("Item", "job", 86_400, 86_400)
    assert not find_run_timeout_fault("Item", "job", None, 86_400)


def test_backoff_after_the_largest_number_of_failures_is_decided_at_once() -> None:
    """A failure count on the log may have any value in its bounds."""
    steady = Policy(initial_backoff_s=3, backoff_multiplier=1, jitter=0)
    assert backoff_s(steady, MAX_COUNT, "seed") == 3
    growing = Policy(initial_backoff_s=1, backoff_multiplier=1.5, max_backoff_s=7, jitter=0)
    assert backoff_s(growing, MAX_COUNT, "seed") == 7
    none = Policy(initial_backoff_s=0, backoff_multiplier=1.5, jitter=0)
    assert backoff_s(none, MAX_COUNT, "seed") == 0
