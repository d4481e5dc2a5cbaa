"""The HTTP server of a replica, in the loop that everything else runs in."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

from fabric_jobs.settings import address_of, family_of

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
                http="httptools",
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


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the program has one way to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
