"""When the next attempt of a failed job is due."""

from zlib import crc32

from fabric_jobs.jobs import ErrorExtendedInformation, ErrorResponse, NameValuePair, Policy

#: Earlier errors that a job's error carries along.
MAX_EARLIER = 10


def backoff_s(policy: Policy, failures: int, seed: str) -> float:
    """Seconds to wait after this many failures; the seed spreads jobs that failed together."""
    full = policy.initial_backoff_s
    for _ in range(failures - 1):
        full *= policy.backoff_multiplier
        if full >= policy.max_backoff_s:
            break
    full = min(full, policy.max_backoff_s)
    return full * (1 - policy.jitter * crc32(seed.encode()) / 0xFFFFFFFF)


def with_earlier(
    error: ErrorResponse, earlier: ErrorResponse | None, attempt: int
) -> ErrorResponse:
    """The error with the attempt before it among its details, the latest first."""
    if earlier is None:
        return error
    detail = ErrorExtendedInformation(
        error_code=earlier.error_code,
        message=earlier.message[:1024],
        message_parameters=earlier.message_parameters,
        additional_parameters=(NameValuePair("attempt", str(attempt)),),
    )
    details = (*error.more_details, detail, *earlier.more_details)
    return ErrorResponse(
        error_code=error.error_code,
        message=error.message,
        source=error.source,
        is_permanent=error.is_permanent,
        message_parameters=error.message_parameters,
        more_details=details[:MAX_EARLIER],
    )
