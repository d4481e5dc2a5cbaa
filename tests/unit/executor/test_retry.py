"""The retry that a handler's author gives, as the policy that travels."""

import pytest

from executor import Executor, HandlerDefinitionError, Job, Retry
from executor.retry import NO_RETRY, policy_of
from fabric_jobs.jobs import Policy


def test_a_retry_becomes_the_policy_of_the_claim() -> None:
    """Each value has its place."""
    retry = Retry(max_attempts=3, initial_s=2, factor=3, max_s=30, jitter=0.5)

    assert policy_of(retry, 90) == Policy(
        max_attempts=3,
        initial_backoff_s=2,
        backoff_multiplier=3,
        max_backoff_s=30,
        jitter=0.5,
        run_timeout_s=90,
    )


def test_without_one_nothing_is_tried_again() -> None:
    """One attempt, for as long as the job may live."""
    policy = policy_of(NO_RETRY, None)

    assert (policy.max_attempts, policy.run_timeout_s) == (1, None)


@pytest.mark.parametrize(
    "retry",
    [
        Retry(max_attempts=0),
        Retry(initial_s=-1),
        Retry(factor=0.5),
        Retry(max_s=-1),
        Retry(jitter=2),
    ],
    ids=str,
)
def test_a_retry_that_makes_no_sense_is_refused_where_it_is_written(retry: Retry) -> None:
    """At the decorator, not when the first job fails."""
    executor = Executor()

    def handler(job: Job[None]) -> None:
        """Does nothing."""

    with pytest.raises(HandlerDefinitionError, match="retry"):
        executor.job("Item", "job", retry=retry)(handler)
