"""Fabric's request and response bodies, lenient where Fabric is."""

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
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.jobs.instance import content_hash
from fabric_jobs.facade.lifecycle import Job

_NULL = Raw(b"null")
#: What Fabric has been seen sending in place of the names.
_INVOKE_TYPES: dict[str | int, InvokeType] = {
    1: InvokeType.SCHEDULED,
    2: InvokeType.MANUAL,
    **{name.value: name for name in InvokeType},
}


class _CreateItemJobInstanceRequest(Struct, rename="camel"):
    """WDK v1; unknown fields are ignored."""

    invoke_type: str | int
    creation_payload: Raw = _NULL


class _RemoteJobRequest(Struct, rename="camel"):
    """The remote-jobs family's three requests; only create has data."""

    job_type: str
    job_instance_id: str
    execution_data: Raw = _NULL


class ItemJobInstanceState(Struct, rename="camel", omit_defaults=True):
    """WDK v1: what Fabric is told of a job; absent times are left out."""

    status: JobInstanceStatus
    start_time_utc: datetime | None = None
    end_time_utc: datetime | None = None
    error_details: ErrorResponse | None = None


class Payload(NamedTuple):
    """What a job is created with."""

    #: As it came; `null` where there was none.
    json: bytes
    #: The same content has the same, however it was written.
    content_hash: str


class CreateBody(NamedTuple):
    """A decoded create request of WDK v1."""

    invoke_type: InvokeType
    payload: Payload


class RemoteBody(NamedTuple):
    """A decoded request of the remote-jobs family."""

    job_type: str
    job_id: str
    payload: Payload


_any = msgspec.json.Decoder()
_create = msgspec.json.Decoder(_CreateItemJobInstanceRequest)
_remote = msgspec.json.Decoder(_RemoteJobRequest)

T = TypeVar("T")


async def body_of(request: Request[Any, Any, Any]) -> bytes:
    """The body as it came, up to what its route takes. Raises `HTTPException`.

    Most come in one part; the framework's own way decodes each header first, for the length alone.
    """
    most = request.route_handler.resolve_request_max_body_size() or inf
    parts, size = list[bytes](), 0
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientException("The connection ended within the body.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise RequestEntityTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def decode_create(body: bytes) -> CreateBody:
    """WDK v1's create request in a body. Raises `HttpError`."""
    request = _decoded(_create, body)
    return CreateBody(
        _INVOKE_TYPES.get(request.invoke_type, InvokeType.UNKNOWN_FUTURE_VALUE),
        _payload(request.creation_payload, "creationPayload"),
    )


def decode_remote(body: bytes) -> RemoteBody:
    """The remote-jobs request in a body. Raises `HttpError`."""
    request = _decoded(_remote, body)
    payload = _payload(request.execution_data, "executionData")
    return RemoteBody(request.job_type, request.job_instance_id, payload)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """What is in a body. Raises `HttpError`, saying what is wrong and where."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HttpError(Code.INVALID_REQUEST, f"The body is wrong: {error}.") from None
    except RecursionError:
        raise HttpError(Code.INVALID_REQUEST, "The body is nested too deeply.") from None


def _payload(raw: Raw, name: str) -> Payload:
    json = bytes(raw)
    content = _decoded(_any, json)
    if content is not None and not isinstance(content, dict):
        raise HttpError(Code.INVALID_REQUEST, f"{name} must be an object.")
    return Payload(json, content_hash(content))


def state_of(job: Job, status_code: int = 200) -> ASGIResponse:
    """What Fabric is told of the job: an error only where it failed.

    Encoded here: the framework's way from an object to an answer is a tenth of what a poll costs.
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
