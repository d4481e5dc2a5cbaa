"""Backoffs, and the limits of a job's life."""

from datetime import timedelta

from fabric_jobs.contract.failures import JOB_EXPIRED, MAX_LIFE, START_DEADLINE, backoff_s
from fabric_jobs.contract.jobs import MAX_COUNT, Policy


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


def test_job_expired_error_names_the_longest_life() -> None:
    """The message says the hours of `MAX_LIFE`."""
    assert timedelta(hours=24) == MAX_LIFE
    assert JOB_EXPIRED.message == "The job was not finished within 24 hours."


def test_backoff_after_the_largest_number_of_failures_is_decided_at_once() -> None:
    """A failure count on the log may have any value in its bounds."""
    steady = Policy(initial_backoff_s=3, backoff_multiplier=1, jitter=0)
    assert backoff_s(steady, MAX_COUNT, "seed") == 3
    growing = Policy(initial_backoff_s=1, backoff_multiplier=1.5, max_backoff_s=7, jitter=0)
    assert backoff_s(growing, MAX_COUNT, "seed") == 7
    none = Policy(initial_backoff_s=0, backoff_multiplier=1.5, jitter=0)
    assert backoff_s(none, MAX_COUNT, "seed") == 0
