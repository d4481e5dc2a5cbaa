"""The retry that a handler's author gives, as the policy that travels."""

from typing import Any

import pytest

from fabric_jobs.contract.jobs import Policy
from fabric_jobs.executor import Executor, HandlerDefinitionError, Job, Retry, api
from fabric_jobs.executor.retry import policy_of


def test_a_retry_becomes_the_policy_of_the_claim() -> None:
    """Each value has its place."""
    retry = Retry(max_attempts=3, initial_s=2, factor=3, max_s=30, jitter=0.5)

    assert policy_of(retry, 90, 5) == Policy(
        max_attempts=3,
        initial_backoff_s=2,
        backoff_multiplier=3,
        max_backoff_s=30,
        jitter=0.5,
        run_timeout_s=90,
        cancel_grace_s=5,
    )


async def handler(job: Job[None]) -> None:
    """Does nothing."""


def test_without_one_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt, for as long as the job may live; a cancelled one has a minute to clean up."""
    policies: list[Policy] = []

    def keep(retry: Retry, run_timeout_s: float | None, cancel_grace_s: float) -> Policy:
        policies.append(policy_of(retry, run_timeout_s, cancel_grace_s))
        return policies[-1]

    monkeypatch.setattr(api, "policy_of", keep)
    Executor().job("Item", "job")(handler)

    assert policies == [Policy()]
    assert (policies[0].max_attempts, policies[0].cancel_grace_s) == (1, 60)


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
    with pytest.raises(HandlerDefinitionError, match="retry"):
        Executor().job("Item", "job", retry=retry)(handler)


@pytest.mark.parametrize("times", [{"run_timeout_s": 0}, {"cancel_grace_s": -1}], ids=str)
def test_so_is_a_time_that_makes_no_sense(times: dict[str, float]) -> None:
    """The message names it."""
    with pytest.raises(HandlerDefinitionError, match=r"TimeoutS|cancelGraceS"):
        Executor().job("Item", "job", **times)(handler)  # type: ignore[arg-type] # no retry


@pytest.mark.parametrize(
    "values",
    [
        {"retry": Retry(max_attempts=2**40)},
        {"retry": Retry(factor=float("inf"))},
        {"retry": Retry(max_s=1e30)},
        {"run_timeout_s": float("inf")},
        {"run_timeout_s": 1e-12},
        {"cancel_grace_s": float("inf")},
    ],
    ids=str,
)
def test_what_the_wire_can_t_carry_is_refused_there_too(values: dict[str, Any]) -> None:
    """Else each claim would fail, and no job of the type would ever start."""
    with pytest.raises(HandlerDefinitionError, match="can't be used"):
        Executor().job("Item", "job", **values)(handler)
