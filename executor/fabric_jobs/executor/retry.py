"""When a failed attempt is tried again."""

import msgspec
from msgspec import Struct

from fabric_jobs.contract.jobs import Policy
from fabric_jobs.contract.wire import policy_from_proto, policy_to_proto
from fabric_jobs.executor.errors import HandlerDefinitionError


class Retry(Struct, frozen=True, kw_only=True):
    """How often a job is tried, and how long it waits in between.

    A permanent error and a bad payload are never tried again; an executor that dies counts as a
    failed attempt.
    """

    #: Attempts that may fail before the job does; 1 means no retry.
    max_attempts: int = 1
    #: Seconds before the second attempt.
    initial_s: float = 1.0
    #: What each further wait is multiplied by.
    factor: float = 2.0
    #: Seconds that no wait exceeds.
    max_s: float = 60.0
    #: The fraction of a wait by which it may be shortened, so that retries do not fall together.
    jitter: float = 0.1


NO_RETRY = Retry()


def policy_of(retry: Retry, run_timeout_s: float | None, cancel_grace_s: float) -> Policy:
    """The policy that travels in the claim. Raises `HandlerDefinitionError`."""
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
        # What does not survive the wire would fail each claim, long after the decoration.
        return policy_from_proto(policy_to_proto(policy))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise HandlerDefinitionError(
            f"The retry, run timeout or cancel grace can't be used: {error}."
        ) from error
