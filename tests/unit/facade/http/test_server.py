"""The HTTP server: how often it writes to the transport."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fabric_jobs.facade.http.connections import Connections
from fabric_jobs.facade.http.limits import HttpLimits
from fabric_jobs.facade.http.protocol import HttpProtocol


class Wire:
    """A transport that keeps each piece that is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Keeps a piece."""
        assert not self.closed.is_set()
        self.pieces.append(data)

    def close(self) -> None:
        """Closes the connection."""
        self.closed.set()

    def is_closing(self) -> bool:
        """Whether the connection is closed."""
        return self.closed.is_set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The default: nothing is known about the peer."""
        return default


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An application that sends an answer with a head and a body."""
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_http_protocol_answer_with_head_and_body_is_one_write() -> None:
    """The write comes before the server closes the connection."""
    config = uvicorn.Config(hello, http=HttpProtocol, log_config=None, server_header=False)
    config.load()
    wire: Any = Wire()
    protocol = HttpProtocol(
        peers=Connections(HttpLimits()), config=config, server_state=ServerState(), app_state={}
    )
    protocol.connection_made(wire)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        await wire.closed.wait()
    (piece,) = wire.pieces
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(b"\r\n\r\nhello")
