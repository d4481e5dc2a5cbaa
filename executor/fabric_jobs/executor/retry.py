"""When a failed attempt is retried."""

import msgspec
from msgspec import Struct

from fabric_jobs.contract.jobs import Policy
from fabric_jobs.contract.wire import policy_from_proto, policy_to_proto
from fabric_jobs.executor.errors import HandlerDefinitionError


class Retry(Struct, frozen=True, kw_only=True):
    """How often a failed job is retried, and how long it waits before each retry.

    The waits grow exponentially: `initial_s`, `initial_s * factor` and so on, up to `max_s`.

    A permanent error and an invalid payload are never retried. An executor that dies, and a run
    that exceeds its timeout, count as a failed attempt. After the last attempt the job fails with
    that attempt's error.
    """

    #: The number of attempts that may fail, including the first. 1, the default, means no retry. A
    #: run that a stopping executor hands back does not count.
    max_attempts: int = 1
    #: Seconds before the second attempt, at least 0.
    initial_s: float = 1.0
    #: The factor by which each further wait is longer than the previous one, at least 1.
    factor: float = 2.0
    #: The longest wait, in seconds.
    max_s: float = 60.0
    #: The fraction, from 0 to 1, by which a wait may be shortened. Each job has a different wait,
    #: so that jobs that failed together are not retried together.
    jitter: float = 0.1


NO_RETRY = Retry()


def make_policy(retry: Retry, run_timeout_s: float | None, cancel_grace_s: float) -> Policy:
    """Returns the policy that each claim carries. Raises `HandlerDefinitionError`."""
    values = {
        "maxAttempts": retry.max_attempts,
        "initialBackoffS": retry.initial_s,
        "backoffMultiplier": retry.factor,
        "maxBackoffS": retry.max_s,
        "jitter": retry.jitter,
        "runTimeoutS": run_timeout_s,
        "cancelGraceS": cancel_grace_s,
    }
    try:
        policy = msgspec.convert(values, Policy)
        # A value that the wire can't carry would fail each claim, long after the decoration.
        return policy_from_proto(policy_to_proto(policy))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise HandlerDefinitionError(
            f"The retry, run_timeout_s or cancel_grace_s can't be used: {error}."
        ) from error
