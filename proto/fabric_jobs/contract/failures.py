"""What a failed attempt leads to: the job ends, or another attempt follows after a backoff.

Facades decide by this module. `fabric_jobs.executor.testing` uses it too, so that the author of a
handler sees the same retries in a test.
"""

from datetime import timedelta
from typing import Any
from zlib import crc32

from msgspec.structs import replace

from fabric_jobs.contract.errors import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, JobState, Policy
from fabric_jobs.contract.scalars import MAX_COUNT

#: The longest time from a job's creation to its end, unless the service has another. Each service
#: has one value, from the least to the most here; the most is the time after which Fabric itself
#: ends a job. The least is longer than `START_DEADLINE`.
DEFAULT_LONGEST_LIFE = timedelta(hours=24)
MIN_LONGEST_LIFE = timedelta(hours=2)
MAX_LONGEST_LIFE = timedelta(days=24)
#: A job that no executor has started this long after its creation fails. Fabric gives up a job
#: that has not started within 2 hours; ours fails before that, so that its error says why.
START_DEADLINE = timedelta(minutes=110)
#: How many earlier errors a job's error lists.
MAX_EARLIER_ERRORS = 10
#: Characters that are kept of the message of each of them.
MAX_EARLIER_MESSAGE_CHARS = 1024
#: The parameter of an earlier error that holds the number of the attempt that failed with it.
EARLIER_ATTEMPT = "attempt"
#: No backoff is longer, whatever a policy says.
_MAX_BACKOFF_S = MAX_LONGEST_LIFE.total_seconds()

RUN_TIMED_OUT = ErrorResponse(
    error_code="RunTimedOut",
    message="The handler ran longer than its run timeout.",
    source=ErrorSource.SYSTEM,
    is_permanent=False,
)


def failure_changes(state: JobState, error: ErrorResponse) -> dict[str, Any]:
    """The fields of the job's state that change when its running attempt fails with this error.

    The new `status` is final, or it is InProgress, which means that another attempt follows.
    """
    changes = _count_failure(state, error)
    policy = state.policy or Policy()
    if error.is_permanent:
        return changes | {"status": JobInstanceStatus.FAILED}
    if state.phase is JobPhase.STOPPING:
        return changes | {"status": JobInstanceStatus.CANCELLED}
    if changes["failures"] >= policy.max_attempts:
        return changes | {"status": JobInstanceStatus.FAILED, "exhausted": True}
    return changes | {"status": JobInstanceStatus.IN_PROGRESS}


def expiry_changes(state: JobState, longest_life: timedelta) -> dict[str, Any]:
    """The fields of an unfinished job's state that change when it reaches its longest life.

    The new `status` is always final.
    """
    if state.phase is JobPhase.STOPPING:
        return {"status": JobInstanceStatus.CANCELLED}
    error = ErrorResponse(
        error_code="JobExpired",
        message=f"The job was not finished within {longest_life / timedelta(hours=1):g} hours.",
        source=ErrorSource.SYSTEM,
        is_permanent=False,
    )
    return _count_failure(state, error) | {"status": JobInstanceStatus.FAILED}


def find_run_timeout_fault(
    item_type: str, job_type: str, run_timeout_s: float | None, longest_life_s: float
) -> str:
    """Why a handler can't have this run timeout, and what to do; empty if it can."""
    if run_timeout_s is None or run_timeout_s <= longest_life_s:
        return ""
    return (
        f"The handler of {item_type} {job_type} has run_timeout_s={run_timeout_s:.10g}, and the "
        f"service ends every job after {longest_life_s:.10g} s. Lower run_timeout_s, or raise "
        "FABRIC_JOBS_LONGEST_LIFE_S of all facades."
    )


def backoff_s(policy: Policy, failures: int, seed: str) -> float:
    """Seconds to wait before the next attempt, after this many failures (1 or more).

    The seed selects the jitter, so that jobs that failed together are not retried together. The
    same arguments always give the same backoff.
    """
    longest = min(policy.max_backoff_s, _MAX_BACKOFF_S)
    try:
        full = min(policy.initial_backoff_s * policy.backoff_multiplier ** (failures - 1), longest)
    except OverflowError:
        full = longest if policy.initial_backoff_s else 0.0
    return full * (1 - policy.jitter * crc32(seed.encode()) / 0xFFFFFFFF)


def _count_failure(state: JobState, error: ErrorResponse) -> dict[str, Any]:
    """The fields that change with any failure: the count, the failed attempt and the error."""
    return {
        "failures": min(state.failures + 1, MAX_COUNT),
        "failed_attempt": state.attempt,
        "error": _with_earlier_errors(error, state).truncate(),
    }


def _with_earlier_errors(error: ErrorResponse, state: JobState) -> ErrorResponse:
    """The error with the job's earlier errors in its details, the latest first."""
    earlier = state.error
    if earlier is None:
        return error
    detail = ErrorExtendedInformation(
        error_code=earlier.error_code,
        message=earlier.message[:MAX_EARLIER_MESSAGE_CHARS],
        message_parameters=earlier.message_parameters,
        additional_parameters=(NameValuePair(EARLIER_ATTEMPT, str(state.failed_attempt)),),
        sealed=earlier.sealed,
    )
    # Further errors of these attempts, such as those of other tasks, would take their places.
    still_earlier = [
        one
        for one in earlier.more_details
        if any(pair.name == EARLIER_ATTEMPT for pair in one.additional_parameters)
    ]
    details = (*error.more_details, detail, *still_earlier)
    return replace(error, more_details=details[:MAX_EARLIER_ERRORS])
