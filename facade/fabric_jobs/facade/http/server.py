"""The HTTP server of a replica. It runs in the same event loop as the rest of the facade.

The server is uvicorn, with limits in `protocol`. Granian 2.8's embedded server was measured as an
alternative, with an application that answers at once: it takes 27 µs of CPU time a request, and
uvicorn with `JoiningTransport` 19 µs; both answer about 17,000 requests a second there. It has
limits for the size and the time of headers, but none for the time of a body, for the number of
connections or for the bytes that a client leaves unread; its refusals have no body; and it calls
its embedded server experimental.
"""

import asyncio
import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

from fabric_jobs.facade.http.connections import Connections
from fabric_jobs.facade.http.limits import HttpLimits
from fabric_jobs.facade.http.protocol import HttpProtocol
from fabric_jobs.runtime.settings import address_of, family_of

#: Seconds that a stopping server waits for its last answers.
GRACE_S = 5
#: How often the limits in time are checked, in turns of uvicorn's main loop, which has 10 a second.
_EXPIRY_TURNS = 5
_LIMITS = HttpLimits()


class HttpServer:
    """Serves the application on one address."""

    def __init__(self, app: ASGIApp, host: str, port: int, limits: HttpLimits = _LIMITS) -> None:
        """Binds the address; port 0 takes a free port. Raises `OSError`."""
        connections = Connections(limits)
        self._socket = socket.create_server((host, port), family=family_of(host))
        self.address = address_of(host, self._socket.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                app,
                # A partial is called as the class would be, and uvicorn's type names only classes.
                http=functools.partial(HttpProtocol, peers=connections),  # type: ignore[arg-type]
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # The client's address is not used.
                timeout_keep_alive=limits.idle_s,  # type: ignore[arg-type] # any number of seconds
                timeout_graceful_shutdown=GRACE_S,
            ),
            connections,
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


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, because `__main__` handles signals."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def on_tick(self, counter: int) -> bool:
        """Ends the connections of which a time limit is over."""
        if counter % _EXPIRY_TURNS == 0:
            self._connections.expire(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
