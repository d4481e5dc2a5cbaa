"""The body of a request, as a server hands it over."""

from typing import Any

from litestar import Litestar, Request, post
from litestar.response.base import ASGIResponse

from fabric_jobs.facade.http.bodies import body_of

MOST = 10


async def answer(*received: dict[str, Any]) -> tuple[int, bytes]:
    """What a handler that gives the body back answers to these messages."""

    @post("/", status_code=200)
    async def echo(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ASGIResponse(body=await body_of(request))

    app = Litestar([echo], request_max_body_size=MOST, logging_config=None)
    messages, sent = iter(received), list[Any]()

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_may_come_in_parts() -> None:
    """Or whole, or not at all."""
    assert await answer(part(b"whole", more=False)) == (200, b"whole")
    parts = part(b"in ", more=True), part(b"", more=True), part(b"parts", more=False)
    assert await answer(*parts) == (200, b"in parts")
    assert await answer({"type": "http.request"}) == (200, b"")


async def test_a_body_is_read_up_to_its_bound_and_no_further() -> None:
    """Without the part that would follow."""
    assert (await answer(part(b"x" * MOST, more=False)))[0] == 200
    assert (await answer(part(b"x" * MOST, more=True), part(b"x", more=True)))[0] == 413


async def test_a_connection_that_ends_within_a_body_is_its_callers_fault() -> None:
    """Nothing is logged as a fault of ours."""
    status, _ = await answer(part(b"x", more=True), {"type": "http.disconnect"})
    assert status == 400
