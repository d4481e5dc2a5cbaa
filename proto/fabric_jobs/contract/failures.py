"""What a failed attempt leads to: the job's end, or another attempt after a backoff.

Facades decide by it, and `fabric_jobs.executor.testing` shows it to the authors of handlers.
"""

from datetime import timedelta
from typing import Any
from zlib import crc32

from msgspec.structs import replace

from fabric_jobs.contract.jobs import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    JobInstanceStatus,
    JobPhase,
    JobState,
    NameValuePair,
    Policy,
)

#: No job is unfinished for longer; so no backoff is longer either, whatever a policy says.
MAX_LIFE = timedelta(hours=24)
_LONGEST_S = MAX_LIFE.total_seconds()
#: Earlier errors that a job's error carries along.
MAX_EARLIER = 10

RUN_TIMED_OUT = ErrorResponse(
    error_code="RunTimedOut",
    message="The handler ran longer than its run timeout.",
    source=ErrorSource.SYSTEM,
    is_permanent=False,
)
JOB_EXPIRED = ErrorResponse(
    error_code="JobExpired",
    message="The job was not finished within 24 hours.",
    source=ErrorSource.SYSTEM,
    is_permanent=False,
)


def failed(state: JobState, error: ErrorResponse) -> dict[str, Any]:
    """What the failure of the running attempt changes of the job's state.

    The status is then a final one, or stays InProgress: the job is tried again.
    """
    changes = _counted(state, error)
    policy = state.policy or Policy()
    if error.is_permanent:
        return changes | {"status": JobInstanceStatus.FAILED}
    if state.phase is JobPhase.STOPPING:
        return changes | {"status": JobInstanceStatus.CANCELLED}
    if changes["failures"] >= policy.max_attempts:
        return changes | {"status": JobInstanceStatus.FAILED, "exhausted": True}
    return changes | {"status": JobInstanceStatus.IN_PROGRESS}


def expired(state: JobState) -> dict[str, Any]:
    """What the end of its longest life changes of an unfinished job's state: it is final."""
    if state.phase is JobPhase.STOPPING:
        return {"status": JobInstanceStatus.CANCELLED}
    return _counted(state, JOB_EXPIRED) | {"status": JobInstanceStatus.FAILED}


def backoff_s(policy: Policy, failures: int, seed: str) -> float:
    """Seconds to wait after this many failures; the seed spreads jobs that failed together."""
    full = policy.initial_backoff_s
    for _ in range(failures - 1):
        full *= policy.backoff_multiplier
        if full >= min(policy.max_backoff_s, _LONGEST_S):
            break
    full = min(full, policy.max_backoff_s, _LONGEST_S)
    return full * (1 - policy.jitter * crc32(seed.encode()) / 0xFFFFFFFF)


def _counted(state: JobState, error: ErrorResponse) -> dict[str, Any]:
    """What one more failure changes of the state by itself; earlier errors go into the details."""
    return {
        "failures": state.failures + 1,
        "failed_attempt": state.attempt,
        "error": _with_earlier(error, state).bounded(),
    }


def _with_earlier(error: ErrorResponse, state: JobState) -> ErrorResponse:
    earlier = state.error
    if earlier is None:
        return error
    detail = ErrorExtendedInformation(
        error_code=earlier.error_code,
        message=earlier.message[:1024],
        message_parameters=earlier.message_parameters,
        additional_parameters=(NameValuePair("attempt", str(state.failed_attempt)),),
    )
    details = (*error.more_details, detail, *earlier.more_details)
    return replace(error, more_details=details[:MAX_EARLIER])
