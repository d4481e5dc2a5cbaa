"""The HTTP server of a replica. It runs in the same event loop as the rest of the facade."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fabric_jobs.runtime.settings import address_of, family_of

#: Seconds that a stopping server waits for its last answers.
GRACE_S = 5


class HttpServer:
    """Serves the application on one address."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Binds the address; port 0 takes a free port. Raises `OSError`."""
        self._socket = socket.create_server((host, port), family=family_of(host))
        self.address = address_of(host, self._socket.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # The client's address is not used.
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Serves until `stop`; cancelling this call does not stop the server."""
        serving = self._server.serve(sockets=[self._socket])
        self._serving = asyncio.create_task(serving, name="serve HTTP")
        await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Takes no more requests, and waits for the answers in progress."""
        self._server.should_exit = True
        if self._serving:
            await self._serving
        self._socket.close()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a transport that joins the writes of one turn of the event loop.

    uvicorn writes the head and the body of an answer apart. Each write is a system call, which is a
    tenth of what a poll costs.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wraps the transport of a new connection."""
        super().connection_made(_JoiningTransport(transport, self.loop))  # type: ignore[arg-type]


class _JoiningTransport:
    """A transport that sends the writes of one turn of the event loop together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, because `__main__` handles signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
