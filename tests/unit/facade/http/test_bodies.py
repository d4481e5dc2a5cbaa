"""Reads and decodes the bodies of Fabric's requests."""

import json
from bisect import bisect_left
from typing import Any

import pytest
from litestar import Litestar, Request, post
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.contract.nesting import MAX_NESTING
from fabric_jobs.facade.http.bodies import (
    decode_create,
    decode_remote,
    decode_remote_create,
    read_body,
)
from fabric_jobs.facade.http.errors import HttpError, to_response

MAX_BYTES = 10


async def answer(*received: dict[str, Any], encoding: str = "") -> tuple[int, bytes]:
    """Status and body of the answer of an echo, to a request of these messages."""

    @post("/", status_code=200)
    async def echo(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ASGIResponse(body=await read_body(request))

    app = Litestar(
        [echo],
        request_max_body_size=MAX_BYTES,
        logging_config=None,
        exception_handlers={HttpError: to_response},
    )
    messages, sent = iter(received), list[Any]()

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    scope["headers"] = [(b"content-encoding", encoding.encode())] if encoding else []
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    """The ASGI message with a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_read_body_in_parts_whole_or_absent_is_read() -> None:
    """An absent body is empty."""
    assert await answer(part(b"whole", more=False)) == (200, b"whole")
    parts = part(b"in ", more=True), part(b"", more=True), part(b"parts", more=False)
    assert await answer(*parts) == (200, b"in parts")
    assert await answer({"type": "http.request"}) == (200, b"")


async def test_read_body_longer_than_the_limit_is_413() -> None:
    """The part that follows is not received. A body of exactly the limit is read."""
    assert (await answer(part(b"x" * MAX_BYTES, more=False)))[0] == 200
    assert (await answer(part(b"x" * MAX_BYTES, more=True), part(b"x", more=True)))[0] == 413


async def test_read_body_connection_ended_within_it_is_400() -> None:
    """It is no fault of the facade."""
    status, _ = await answer(part(b"x", more=True), {"type": "http.disconnect"})
    assert status == 400


@pytest.mark.parametrize(("encoding", "status"), [("identity", 200), ("gzip", 415), ("Br", 415)])
async def test_read_body_compressed_is_415(encoding: str, status: int) -> None:
    """The header `Content-Encoding` says how the body is compressed."""
    assert (await answer(part(b"x", more=False), encoding=encoding))[0] == status


def refusal(body: bytes) -> str:
    """The code and the message of a WDK create with this body, which must be refused."""
    with pytest.raises(HttpError) as raised:
        decode_create(body)
    return f"{raised.value.code}: {raised.value}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The body is empty"),
        (b" \r\n", "The body is empty"),
        (b'\xef\xbb\xbf{"invokeType": 1}', "byte order mark"),
        ('{"invokeType": 1}'.encode("utf-16"), "UTF-16"),
        ('{"invokeType": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"invokeType": 1}'.encode("utf-32-be"), "UTF-16 or UTF-32"),
        (b"\x1f\x8b\x08\x00", "UnsupportedMediaType: The body is compressed"),
        (b'{"invokeType": "\\ud800"}', r"half of a character, \ud800, at byte 16"),
        (b'{"invokeType": "\\ud83d\\ude00 \\ude00"}', r"half of a character, \ude"),
        (b'{"invokeType": "\xff"}', "not valid UTF-8"),
        (b'{"invokeType": 2.0}', "Expected `int | str`, got `float`"),
        (b'{"invokeType": null}', "got `null`"),
        (b'{"invokeType": true}', "got `bool`"),
        (b'{"invokeType": "Manual", "invokeType": "x"}', "more than one invokeType"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_decode_create_refuses_with_what_is_wrong(body: bytes, words: str) -> None:
    """The message names the cause."""
    assert words in refusal(body)


def test_decode_create_refuses_any_depth_that_it_can_t_read() -> None:
    """Two decoders read a body with the name `invokeType` in its payload. Their limits differ."""
    start = b'{"invokeType": 2, "creationPayload": {"invokeType": 1}, "x": '
    messages = set[str]()

    def is_refused(depth: int) -> bool:
        try:
            decode_create(start + b"[" * depth + b"]" * depth + b"}")
        except HttpError as error:
            messages.add(str(error))
            return True
        return False

    # The search ends between the largest depth that is accepted and the next one.
    first = bisect_left(range(100_000), True, key=is_refused)

    assert 64 < first < 100_000
    assert messages == {"The body is nested too deeply."}


@pytest.mark.parametrize(
    "value", [b"9" * 5000, b"-" + b"9" * 5000, b'"\xff"'], ids=["digits", "negative", "not UTF-8"]
)
@pytest.mark.parametrize("payload", [b"null", b'{"invokeType": 1}'])
def test_decode_create_passes_over_an_unknown_field_that_python_can_t_read(
    value: bytes, payload: bytes
) -> None:
    """So it does if the payload has the name `invokeType`, for which a second decoder looks."""
    body = b'{"invokeType": 2, "creationPayload": %s, "x": %s}' % (payload, value)

    assert decode_create(body).content.payload == payload


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        *[(sent, InvokeType.MANUAL) for sent in (2, "2", "Manual", "manual", " MANUAL\t", "02")],
        *[(sent, InvokeType.SCHEDULED) for sent in (1, "1", "Scheduled", "scheduled ")],
        *[(s, InvokeType.UNKNOWN_FUTURE_VALUE) for s in (0, 3, "0", "", "x", "9" * 5000, "²")],
    ],
)
def test_decode_create_normalizes_the_invoke_type(sent: object, expected: InvokeType) -> None:
    """A rule for an invoke type holds for every spelling of it."""
    body = json.dumps({"invokeType": sent, "creationPayload": {"invokeType": "inner"}}).encode()
    assert decode_create(body).invoke_type is expected


def nested(levels: int) -> bytes:
    """A create whose payload has so many levels."""
    lists = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"invokeType": 1, "creationPayload": {"a[": ' + lists + b"}}"


def test_decode_create_payload_deeper_than_the_bound_is_refused() -> None:
    """The bound is the same in every program, whatever its decoder could read."""
    assert decode_create(nested(MAX_NESTING)).content.payload
    assert refusal(nested(MAX_NESTING + 1)).endswith("nested more than 64 levels deep.")
    wide = b'{"invokeType": 1, "creationPayload": {"a": [' + b"[]," * 1000 + b"[]]}}"
    assert decode_create(wide).content.payload


REMOTE = {"jobType": "quick", "jobInstanceId": "x"}
PART = {"path": "a.json", "payload": "e30=", "payloadType": "InlineBase64"}


def remote(**more: object) -> bytes:
    """A body of the remote-jobs family."""
    return json.dumps({**REMOTE, **more}).encode()


def remote_refusal(**more: object) -> str:
    """The code and the message of a remote create with these fields, which must be refused."""
    with pytest.raises(HttpError) as raised:
        decode_remote_create(remote(**more), 1000, 2000)
    return f"{raised.value.code}: {raised.value}"


def test_decode_remote_create_definition_is_part_of_the_content() -> None:
    """Another definition is other content; without one the hash is that of the payload alone."""
    definition = {"parts": [PART]}
    _, without = decode_remote_create(remote(), 1000, 1000)
    _, null = decode_remote_create(remote(definition=None), 1000, 1000)
    _, one = decode_remote_create(remote(definition=definition), 1000, 1000)
    _, spaced = decode_remote_create(
        json.dumps({**REMOTE, "definition": definition}, indent=1).encode(), 1000, 1000
    )
    _, other = decode_remote_create(remote(definition={"parts": [PART, PART]}), 1000, 1000)

    payload_alone = decode_create(b'{"invokeType":1}').content.content_hash
    assert without.content_hash == null.content_hash == payload_alone
    assert one.content_hash == spaced.content_hash
    assert len({without.content_hash, one.content_hash, other.content_hash}) == 3
    assert json.loads(one.definition) == definition


def test_decode_remote_create_definition_has_a_limit_of_its_own() -> None:
    """The body without it has the usual one."""
    large = {"parts": [PART | {"payload": "x" * 1500}]}
    decode_remote_create(remote(definition=large), 1000, 2000)
    assert "The definition has more than 2000 bytes" in remote_refusal(
        definition={"parts": [PART | {"payload": "x" * 2000}]}
    )
    assert "The body without the definition has more than 1000 bytes" in remote_refusal(
        executionData={"x": "x" * 1000}, definition=large
    )


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("x", "definition must be an object"),
        ([], "definition must be an object"),
        ({"parts": {}}, "Expected `array`"),
        ({"parts": [{"path": "x"}]}, "missing required field `payload`"),
        ({"parts": [PART | {"path": 1}]}, "Expected `str`"),
    ],
)
def test_decode_remote_create_definition_of_another_form_is_refused(
    definition: object, words: str
) -> None:
    """A handler gets a definition that can be decoded."""
    assert words in remote_refusal(definition=definition)


def test_decode_remote_ignores_what_a_state_or_a_cancel_has_no_use_for() -> None:
    """These fields may have any value."""
    assert decode_remote(remote(executionData="x", definition=7)) == ("quick", "x")
