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


#: The field of a policy on the wire, by the argument that sets it.
_FIELDS = {
    "retry.max_attempts": "maxAttempts",
    "retry.initial_s": "initialBackoffS",
    "retry.factor": "backoffMultiplier",
    "retry.max_s": "maxBackoffS",
    "retry.jitter": "jitter",
    "run_timeout_s": "runTimeoutS",
    "cancel_grace_s": "cancelGraceS",
}


def make_policy(retry: Retry, run_timeout_s: float | None, cancel_grace_s: float) -> Policy:
    """Returns the policy that each claim carries. Raises `HandlerDefinitionError`."""
    if not isinstance(retry, Retry):
        raise HandlerDefinitionError(
            f"retry must be a Retry, such as Retry(max_attempts=3), not {retry!r}."
        )
    given = {f"retry.{name}": value for name, value in msgspec.structs.asdict(retry).items()}
    given |= {"run_timeout_s": run_timeout_s, "cancel_grace_s": cancel_grace_s}
    values = {_FIELDS[argument]: value for argument, value in given.items()}
    try:
        policy = msgspec.convert(values, Policy)
        # A value that the wire can't carry would fail each claim, long after the decoration.
        return policy_from_proto(policy_to_proto(policy))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        text = str(error)
        for argument, field in _FIELDS.items():
            text = text.replace(f"$.{field}`", f"{argument}`")
        raise HandlerDefinitionError(
            f"The retry, run_timeout_s or cancel_grace_s can't be used: {text}."
        ) from error
