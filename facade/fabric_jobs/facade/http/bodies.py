"""Fabric's request and response bodies. Unknown fields and invoke types are accepted."""

from datetime import datetime
from math import inf
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar import MediaType, Request
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.response.base import ASGIResponse
from msgspec import Raw, Struct

from fabric_jobs.contract.jobs import ErrorResponse, InvokeType, JobInstanceStatus
from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.jobs.instance import content_hash
from fabric_jobs.facade.lifecycle import Job

_NULL = Raw(b"null")
#: Invoke types by name, and by the integers that Fabric has been seen sending instead.
_INVOKE_TYPES: dict[str | int, InvokeType] = {
    1: InvokeType.SCHEDULED,
    2: InvokeType.MANUAL,
    **{name.value: name for name in InvokeType},
}


class _CreateItemJobInstanceRequest(Struct, rename="camel"):
    """The body of WDK v1's create; unknown fields are ignored."""

    invoke_type: str | int
    creation_payload: Raw = _NULL


class _RemoteJobRequest(Struct, rename="camel"):
    """The body of the three remote-jobs requests; only create has execution data."""

    job_type: str
    job_instance_id: str
    execution_data: Raw = _NULL


class ItemJobInstanceState(Struct, rename="camel", omit_defaults=True):
    """A job instance's state in an answer to Fabric; absent fields are left out."""

    status: JobInstanceStatus
    start_time_utc: datetime | None = None
    end_time_utc: datetime | None = None
    error_details: ErrorResponse | None = None


class Payload(NamedTuple):
    """A job's creation payload."""

    #: The JSON text as it came; `null` if there was none.
    json: bytes
    #: The hash of the decoded content, which does not depend on how it was written.
    content_hash: str


class CreateBody(NamedTuple):
    """The decoded body of WDK v1's create."""

    invoke_type: InvokeType
    payload: Payload


class RemoteBody(NamedTuple):
    """The decoded body of a remote-jobs request."""

    job_type: str
    job_id: str
    payload: Payload


_any = msgspec.json.Decoder()
_create = msgspec.json.Decoder(_CreateItemJobInstanceRequest)
_remote = msgspec.json.Decoder(_RemoteJobRequest)

T = TypeVar("T")


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """Reads the whole body. Raises `HTTPException` if it exceeds the limit of its route.

    Litestar's own reader decodes every header to find the length, which costs more than the rest.
    """
    most = request.route_handler.resolve_request_max_body_size() or inf
    parts, size = list[bytes](), 0
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientException("The connection ended before the end of the body.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise RequestEntityTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def decode_create(body: bytes) -> CreateBody:
    """Decodes the body of WDK v1's create. Raises `HttpError`."""
    request = _decode(_create, body)
    return CreateBody(
        _INVOKE_TYPES.get(request.invoke_type, InvokeType.UNKNOWN_FUTURE_VALUE),
        _payload(request.creation_payload, "creationPayload"),
    )


def decode_remote(body: bytes) -> RemoteBody:
    """Decodes the body of a remote-jobs request. Raises `HttpError`."""
    request = _decode(_remote, body)
    payload = _payload(request.execution_data, "executionData")
    return RemoteBody(request.job_type, request.job_instance_id, payload)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decodes JSON. Raises `HttpError`, whose message says what is wrong and where."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HttpError(Code.INVALID_REQUEST, f"The body is not valid: {error}.") from None
    except RecursionError:
        raise _too_deep("The body") from None


def _payload(raw: Raw, name: str) -> Payload:
    json = bytes(raw)
    if is_too_deep(json):
        raise _too_deep(name)
    content = _decode(_any, json)
    if content is not None and not isinstance(content, dict):
        raise HttpError(Code.INVALID_REQUEST, f"{name} must be an object.")
    return Payload(json, content_hash(content))


def _too_deep(name: str) -> HttpError:
    return HttpError(
        Code.INVALID_REQUEST,
        f"{name} is nested too deeply: a payload may have {MAX_NESTING} levels of arrays and "
        "objects.",
    )


def state_response(job: Job, status_code: int = 200) -> ASGIResponse:
    """The answer with a job instance's state; only a failed one has error details.

    It is encoded here, because Litestar's own encoding is a tenth of what a poll costs.
    """
    state = job.state
    failed = state.status is JobInstanceStatus.FAILED
    body = ItemJobInstanceState(
        status=state.status,
        start_time_utc=state.start_time,
        end_time_utc=state.end_time,
        error_details=state.error if failed else None,
    )
    return ASGIResponse(
        body=msgspec.json.encode(body), status_code=status_code, media_type=MediaType.JSON
    )
