"""Fabric's request and response bodies, lenient where Fabric is."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from fabric_jobs.jobs import ErrorResponse, InvokeType, JobInstanceStatus
from facade.http.errors import Code, HttpError
from facade.lifecycle import Job

#: What Fabric has been seen sending in place of the names.
_INVOKE_TYPES: dict[str | int, InvokeType] = {
    1: InvokeType.SCHEDULED,
    2: InvokeType.MANUAL,
    **{name.value: name for name in InvokeType},
}


class _CreateItemJobInstanceRequest(Struct, rename="camel"):
    """WDK v1; unknown fields are ignored."""

    invoke_type: str | int
    creation_payload: Raw | UnsetType = UNSET


class ItemJobInstanceState(Struct, rename="camel", omit_defaults=True):
    """WDK v1: what Fabric is told of a job; absent times are left out."""

    status: JobInstanceStatus
    start_time_utc: datetime | None = None
    end_time_utc: datetime | None = None
    error_details: ErrorResponse | None = None


class CreateBody(Struct, frozen=True):
    """A decoded create request."""

    invoke_type: InvokeType
    #: The payload as it came, as JSON; `null` where there was none.
    payload: bytes
    #: The same content has the same, however it was written.
    payload_hash: str


_request = msgspec.json.Decoder(_CreateItemJobInstanceRequest)
_canonical = msgspec.json.Encoder(order="deterministic")


def decode_create(body: bytes) -> CreateBody:
    """The request in a body. Raises `HttpError`, saying what is wrong and where."""
    try:
        request = _request.decode(body)
        payload = b"null"
        if request.creation_payload is not UNSET:
            payload = bytes(request.creation_payload)
        content: Any = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HttpError(Code.INVALID_REQUEST, f"The body is wrong: {error}.") from None
    except RecursionError:
        raise HttpError(Code.INVALID_REQUEST, "The body is nested too deeply.") from None
    if content is not None and not isinstance(content, dict):
        raise HttpError(Code.INVALID_REQUEST, "creationPayload must be an object.")
    return CreateBody(
        invoke_type=_INVOKE_TYPES.get(request.invoke_type, InvokeType.UNKNOWN_FUTURE_VALUE),
        payload=payload,
        payload_hash=hashlib.sha256(_canonical.encode(content)).hexdigest(),
    )


def state_of(job: Job) -> ItemJobInstanceState:
    """What Fabric is told of the job: an error only where it failed."""
    state = job.state
    failed = state.status is JobInstanceStatus.FAILED
    return ItemJobInstanceState(
        status=state.status,
        start_time_utc=state.start_time,
        end_time_utc=state.end_time,
        error_details=state.error if failed else None,
    )
