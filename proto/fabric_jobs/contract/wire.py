"""Converts the contract's values to protobuf messages and back, for both ends of the status API."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.contract.errors import (
    HANDLER_ERROR,
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.jobs import (
    MAX_PROGRESS_CHARS,
    JobInstanceStatus,
    JobPhase,
    Policy,
    Progress,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb

STATUSES = {
    JobInstanceStatus.NOT_STARTED: pb.JOB_INSTANCE_STATUS_NOT_STARTED,
    JobInstanceStatus.IN_PROGRESS: pb.JOB_INSTANCE_STATUS_IN_PROGRESS,
    JobInstanceStatus.COMPLETED: pb.JOB_INSTANCE_STATUS_COMPLETED,
    JobInstanceStatus.FAILED: pb.JOB_INSTANCE_STATUS_FAILED,
    JobInstanceStatus.CANCELLED: pb.JOB_INSTANCE_STATUS_CANCELLED,
}
STATUS_NAMES = {number: status for status, number in STATUSES.items()}
PHASES = {
    JobPhase.QUEUED: pb.JOB_PHASE_QUEUED,
    JobPhase.RUNNING: pb.JOB_PHASE_RUNNING,
    JobPhase.STOPPING: pb.JOB_PHASE_STOPPING,
    JobPhase.WAITING: pb.JOB_PHASE_WAITING,
    JobPhase.ENDED: pb.JOB_PHASE_ENDED,
}
_SOURCES = {source.value: source for source in ErrorSource}
PHASE_NAMES = {number: phase for phase, number in PHASES.items()}
#: Bound of the message of a policy, in bytes. A policy with a value in each field has about 100.
MAX_POLICY_BYTES = 1024


class InvalidMessageError(ValueError):
    """A protobuf message holds a value that the contract forbids. The error's text names it."""


@lru_cache
def policy_to_proto(policy: Policy) -> pb.Policy:
    """Returns the message of a policy. Equal policies share one message: do not change it."""
    return pb.Policy(
        max_attempts=policy.max_attempts,
        initial_backoff=_duration(policy.initial_backoff_s),
        backoff_multiplier=policy.backoff_multiplier,
        max_backoff=_duration(policy.max_backoff_s),
        jitter=policy.jitter,
        run_timeout=None if policy.run_timeout_s is None else _duration(policy.run_timeout_s),
        cancel_grace=_duration(policy.cancel_grace_s),
    )


def policy_from_proto(message: pb.Policy) -> Policy:
    """Returns the policy in a message, with defaults for absent fields.

    Raises `InvalidMessageError`.
    """
    serialized = message.SerializeToString()
    # Fields that are unknown here count too. The cache would keep them.
    if len(serialized) > MAX_POLICY_BYTES:
        raise InvalidMessageError(f"The policy has more than {MAX_POLICY_BYTES:,} bytes.")
    return _policy_of(serialized)


@lru_cache  # each claim carries the policy of its handler
def _policy_of(serialized: bytes) -> Policy:
    message = pb.Policy.FromString(serialized)
    if not (isfinite(message.backoff_multiplier) and isfinite(message.jitter)):
        raise InvalidMessageError("The policy holds a number that is not finite.")
    values: dict[str, float] = {"jitter": message.jitter}
    if message.max_attempts:
        values["maxAttempts"] = message.max_attempts
    if message.backoff_multiplier:
        values["backoffMultiplier"] = message.backoff_multiplier
    for field, name in (
        ("initial_backoff", "initialBackoffS"),
        ("max_backoff", "maxBackoffS"),
        ("run_timeout", "runTimeoutS"),
        ("cancel_grace", "cancelGraceS"),
    ):
        if message.HasField(field):
            duration: Duration = getattr(message, field)
            values[name] = duration.seconds + duration.nanos / 1e9
    try:
        return msgspec.convert(values, Policy)
    except msgspec.ValidationError as error:
        raise InvalidMessageError(f"The policy: {error}.") from error


def progress_to_proto(progress: Progress) -> pb.Progress:
    """Returns the message of a run's progress."""
    return pb.Progress(
        fraction=progress.fraction, message=utf8_text(progress.message[:MAX_PROGRESS_CHARS])
    )


def progress_from_proto(message: pb.Progress) -> Progress:
    """Returns the progress in a message, with its text truncated. Raises `InvalidMessageError`."""
    # This comparison is false for NaN too.
    if not 0 <= message.fraction <= 1:
        raise InvalidMessageError(f"The fraction {message.fraction} is not between 0 and 1.")
    return Progress(message.fraction, message.message[:MAX_PROGRESS_CHARS])


def error_to_proto(error: ErrorResponse) -> pb.Error:
    """Returns the message of an error."""
    return pb.Error(
        error_code=utf8_text(error.error_code),
        message=utf8_text(error.message),
        source=error.source,
        permanent=bool(error.is_permanent),
        message_parameters=_texts(error.message_parameters),
        details=[
            pb.ErrorDetail(
                error_code=utf8_text(detail.error_code),
                message=utf8_text(detail.message),
                message_parameters=_texts(detail.message_parameters),
                additional_parameters={
                    utf8_text(pair.name): utf8_text(pair.value)
                    for pair in detail.additional_parameters
                },
            )
            for detail in error.more_details
        ],
    )


def error_from_proto(message: pb.Error) -> ErrorResponse:
    """Returns the error in a message.

    An empty code means `HandlerError`, and a source that is empty or unknown means `System`.
    """
    return ErrorResponse(
        error_code=message.error_code or HANDLER_ERROR,
        message=message.message,
        source=_SOURCES.get(message.source, ErrorSource.SYSTEM),
        is_permanent=message.permanent,
        message_parameters=tuple(message.message_parameters),
        more_details=tuple(
            ErrorExtendedInformation(
                error_code=detail.error_code,
                message=detail.message,
                message_parameters=tuple(detail.message_parameters),
                additional_parameters=tuple(
                    NameValuePair(name, value)
                    for name, value in sorted(detail.additional_parameters.items())
                ),
            )
            for detail in message.details
        ),
    )


def time_to_proto(time: datetime | None) -> Timestamp | None:
    """Returns the message of a time, or None for None."""
    if time is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def time_from_proto(message: Timestamp) -> datetime:
    """The time in a message, in UTC. Raises `InvalidMessageError` if it is no time of this era."""
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidMessageError(f"The time {message.seconds} s is out of range.") from error


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def utf8_text(text: str) -> str:
    """Returns the text with `?` in place of lone surrogates, which UTF-8 cannot encode.

    A file name can contain lone surrogates.
    """
    return text.encode("utf-8", "replace").decode()


def _texts(texts: Iterable[str]) -> list[str]:
    return [utf8_text(text) for text in texts]
