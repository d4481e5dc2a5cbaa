"""The policy of a claim, from the arguments of `@executor.job`."""

from typing import Any

import pytest

from fabric_jobs.contract.jobs import Policy
from fabric_jobs.executor import Executor, HandlerDefinitionError, Job, Retry, api
from fabric_jobs.executor.retry import make_policy


def test_policy_has_every_value_of_the_retry_and_the_times() -> None:
    """No value is lost or exchanged."""
    retry = Retry(max_attempts=3, initial_s=2, factor=3, max_s=30, jitter=0.5)

    assert make_policy(retry, 90, 5) == Policy(
        max_attempts=3,
        initial_backoff_s=2,
        backoff_multiplier=3,
        max_backoff_s=30,
        jitter=0.5,
        run_timeout_s=90,
        cancel_grace_s=5,
    )


async def handler(job: Job[None]) -> None:
    """A handler that completes at once."""


def test_policy_without_arguments_has_one_attempt_and_a_minute_of_cancel_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The defaults of the decorator are the defaults of the contract."""
    policies: list[Policy] = []

    def record(retry: Retry, run_timeout_s: float | None, cancel_grace_s: float) -> Policy:
        policies.append(make_policy(retry, run_timeout_s, cancel_grace_s))
        return policies[-1]

    monkeypatch.setattr(api, "make_policy", record)
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
        3,
    ],
    ids=str,
)
def test_retry_out_of_range_or_of_another_type_raises_at_decoration(retry: Retry) -> None:
    """Its author sees the error when the module is imported, not when the first job fails."""
    with pytest.raises(
        HandlerDefinitionError, match=r"^Item job: .*(`retry\.|Retry\(max_attempts=3\))"
    ):
        Executor().job("Item", "job", retry=retry)(handler)


@pytest.mark.parametrize("times", [{"run_timeout_s": 0}, {"cancel_grace_s": -1}], ids=str)
def test_run_timeout_or_cancel_grace_out_of_range_raises_at_decoration(
    times: dict[str, float],
) -> None:
    """The message names the value that is wrong."""
    (name,) = times
    with pytest.raises(HandlerDefinitionError, match=rf"^Item job: .* - at `{name}`\.$"):
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
def test_retry_or_time_that_the_wire_can_t_carry_raises_at_decoration(
    values: dict[str, Any],
) -> None:
    """Without this check each claim would fail, and no job of the type would ever start."""
    with pytest.raises(HandlerDefinitionError, match="can't be used"):
        Executor().job("Item", "job", **values)(handler)
