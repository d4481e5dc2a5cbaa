"""The bodies of Fabric's requests. Unknown fields and invoke types are accepted."""

import json
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Raw, Struct

from fabric_jobs.contract.definitions import decode_definition
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep
from fabric_jobs.facade.http.encodings import check_content_encoding, explain
from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.jobs.instance import content_hash

_NULL = Raw(b"null")
_INVOKE_TYPE = b'"invokeType"'
#: Invoke types by the names and the integers that Fabric has been seen sending.
_INVOKE_TYPES: dict[str | int, InvokeType] = {
    1: InvokeType.SCHEDULED,
    2: InvokeType.MANUAL,
    **{name.value: name for name in InvokeType},
    **{name.value.lower(): name for name in InvokeType},
}


class _CreateItemJobInstanceRequest(Struct, rename="camel"):
    """The body of WDK v1's create; unknown fields are ignored."""

    invoke_type: str | int
    creation_payload: Raw = _NULL


class _RemoteJobRequest(Struct, rename="camel"):
    """What the bodies of the three remote-jobs requests have in common."""

    job_type: str
    job_instance_id: str


class _RemoteCreateRequest(_RemoteJobRequest, rename="camel"):
    """The body of the remote-jobs create."""

    execution_data: Raw = _NULL
    definition: Raw = _NULL


class Content(NamedTuple):
    """The content of a job that a create asks for."""

    #: The creation payload as it came, as JSON; `null` if there was none.
    payload: bytes
    #: The item's definition as it came, as JSON; empty if there was none.
    definition: bytes
    #: The hash of the decoded content, which does not depend on how it was written.
    content_hash: str


class CreateBody(NamedTuple):
    """The decoded body of WDK v1's create."""

    invoke_type: InvokeType
    content: Content


class RemoteBody(NamedTuple):
    """What the body of a remote-jobs request names."""

    job_type: str
    job_id: str


_any = msgspec.json.Decoder()
_create = msgspec.json.Decoder(_CreateItemJobInstanceRequest)
_remote = msgspec.json.Decoder(_RemoteJobRequest)
_remote_create = msgspec.json.Decoder(_RemoteCreateRequest)

T = TypeVar("T")


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """Reads the whole body.

    Raises `HTTPException` if it exceeds the limit of its route, `HttpError` if it is compressed.
    Litestar's own reader decodes every header to find the length, which costs more than the rest.
    """
    check_content_encoding(request.scope)
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
    if body.count(_INVOKE_TYPE) > 1:
        _check_single_invoke_type(body)
    return CreateBody(
        _invoke_type(request.invoke_type), _content(request.creation_payload, "creationPayload")
    )


def decode_remote(body: bytes) -> RemoteBody:
    """Decodes the body of a remote-jobs state or cancel. Raises `HttpError`."""
    request = _decode(_remote, body)
    return RemoteBody(request.job_type, request.job_instance_id)


def decode_remote_create(
    body: bytes, body_limit: int, definition_limit: int
) -> tuple[RemoteBody, Content]:
    """Decodes the body of the remote-jobs create. Raises `HttpError`.

    The limits are in bytes: of the definition, and of everything else.
    """
    request = _decode(_remote_create, body)
    definition = b"" if request.definition == _NULL else bytes(request.definition)
    for name, size, limit in (
        ("The definition", len(definition), definition_limit),
        ("The body without the definition", len(body) - len(definition), body_limit),
    ):
        if size > limit:
            raise HttpError(
                Code.REQUEST_TOO_LARGE,
                f"{name} has more than {limit} bytes. Pass large data by reference.",
            )
    content = _content(request.execution_data, "executionData", definition)
    return RemoteBody(request.job_type, request.job_instance_id), content


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decodes JSON. Raises `HttpError`, whose message says what is wrong and where."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, error) from None


def _invoke_type(sent: str | int) -> InvokeType:
    """The invoke type of any letter case, and of an integer that is sent as a text."""
    if isinstance(sent, str) and sent not in _INVOKE_TYPES:
        sent = sent.strip().lower()
        with suppress(ValueError):
            sent = int(sent)
    return _INVOKE_TYPES.get(sent, InvokeType.UNKNOWN_FUTURE_VALUE)


def _check_single_invoke_type(body: bytes) -> None:
    """Raises `HttpError` if the object has two invoke types, because it is unclear which counts.

    Also raises `HttpError` if the body is nested too deeply for Python's decoder.
    """
    # msgspec passes over unknown fields. Python's decoder would refuse bytes in them that are not
    # UTF-8, and integers of more than 4,300 digits, which therefore stay texts.
    text = body.decode(errors="replace")
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_int=str)
    except RecursionError as error:
        raise explain(body, error) from None
    if [name for name, _ in pairs].count("invokeType") > 1:
        raise HttpError(Code.INVALID_REQUEST, "The body has more than one invokeType.")


def _content(payload: Raw, name: str, definition: bytes = b"") -> Content:
    sent = bytes(payload)
    decoded = _decode_object(sent, name)
    if not definition:
        return Content(sent, b"", content_hash(decoded))
    decoded_definition = _decode_object(definition, "definition")
    try:
        decode_definition(definition)
    except msgspec.MsgspecError as error:
        raise HttpError(
            Code.INVALID_REQUEST, f"The definition is not that of an item: {error}."
        ) from None
    return Content(sent, definition, content_hash(decoded, decoded_definition))


def _decode_object(sent: bytes, name: str) -> object:
    """The decoded object, or None for `null`. Raises `HttpError`."""
    if is_too_deep(sent):
        raise HttpError(
            Code.INVALID_REQUEST, f"{name} is nested more than {MAX_NESTING} levels deep."
        )
    decoded = _decode(_any, sent)
    if decoded is not None and not isinstance(decoded, dict):
        raise HttpError(Code.INVALID_REQUEST, f"{name} must be an object.")
    return decoded
