"""The reading of a request's body from the messages of the ASGI server."""

from typing import Any

import pytest
from litestar import Litestar, Request, post
from litestar.response.base import ASGIResponse

from fabric_jobs.contract.nesting import MAX_NESTING
from fabric_jobs.facade.http.bodies import decode_create, read_body
from fabric_jobs.facade.http.errors import HttpError

MAX_BYTES = 10


async def answer(*received: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the answer of an echo, to a request of these messages."""

    @post("/", status_code=200)
    async def echo(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ASGIResponse(body=await read_body(request))

    app = Litestar([echo], request_max_body_size=MAX_BYTES, logging_config=None)
    messages, sent = iter(received), list[Any]()

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
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


def test_decode_create_payload_above_the_bound_of_nesting_is_refused() -> None:
    """A payload of as many levels as are allowed is accepted. The message names the bound."""

    def body(levels: int) -> bytes:
        inner = b"[" * (levels - 1) + b"]" * (levels - 1)
        return b'{"invokeType": 1, "creationPayload": {"a": ' + inner + b"}}"

    assert decode_create(body(MAX_NESTING)).payload.json.count(b"[") == MAX_NESTING - 1
    for levels in (MAX_NESTING + 1, 970, 100_000):
        with pytest.raises(HttpError, match=f"nested too deeply: .* {MAX_NESTING} levels"):
            decode_create(body(levels))
