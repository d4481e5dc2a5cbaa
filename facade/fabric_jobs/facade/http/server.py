"""The HTTP server of a replica, in the loop that everything else runs in."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fabric_jobs.runtime.settings import address_of, family_of

#: How long a stopping replica waits for answers that are being written, in seconds.
GRACE_S = 5


class HttpServer:
    """The application on one address."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Binds at once; port 0 takes a free one. Raises `OSError` where it can't be had."""
        self._listening = socket.create_server((host, port), family=family_of(host))
        self.address = address_of(host, self._listening.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing asks where a request came from
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answers. Cancelling it ends nothing: `stop` does."""
        serving = self._server.serve(sockets=[self._listening])
        self._serving = asyncio.create_task(serving, name="serve HTTP")
        await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Takes no more requests, and lets the answers that are being written be."""
        self._server.should_exit = True
        if self._serving:
            await self._serving
        self._listening.close()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, but that what it writes in one turn of the loop leaves in one call of the system.

    It writes an answer's head and its body apart, and each call is a tenth of what a poll costs.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]


class _Joining:
    """A transport that sends together what was written in one turn of the loop."""

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
    """uvicorn without its own signal handlers: the program has one way to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
