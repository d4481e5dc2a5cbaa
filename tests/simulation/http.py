"""HTTP in memory: requests go to the facade's own ASGI application, in the facade's node."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.simulation.loop import SimulatedLoop, current_place


class Answer(NamedTuple):
    """The status and the body of an answer."""

    code: int
    body: str


class SimulatedHttpServer:
    """Stands for `HttpServer`."""

    def __init__(self, app: Any, host: str, port: int, limits: object = None) -> None:
        self.app = app
        self.place = current_place()
        self.address = f"{host}:{port}"
        self.context = copy_context()
        self._stopping = asyncio.Event()
        self._answering: set[asyncio.Task[Any]] = set()

    async def serve(self) -> None:
        """Serves until `stop`."""
        WORLD.servers[self.address] = self
        await self._stopping.wait()

    async def stop(self) -> None:
        """Takes no more requests, and waits for the answers in progress."""
        self._stopping.set()
        WORLD.servers.pop(self.address, None)
        if self._answering:
            await asyncio.wait(self._answering, timeout=5)

    def answer(
        self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Any:
        """Starts the answer to a request in this server's node; returns its task."""
        task = WORLD.loop.create_task(
            self._answer(method, path, body, headers), context=self.context.copy()
        )
        self._answering.add(task)
        task.add_done_callback(self._answering.discard, context=self.context.copy())
        return task

    async def _answer(
        self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", self.address.encode()),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", int(self.address.rpartition(":")[2])),
            "state": {},
            "extensions": {},
        }
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        status = next(one["status"] for one in sent if one["type"] == "http.response.start")
        bodies = (one.get("body", b"") for one in sent if one["type"] == "http.response.body")
        return Answer(status, b"".join(bodies).decode())


class _World(SimpleNamespace):
    loop: SimulatedLoop
    dice: Random
    servers: dict[str, SimulatedHttpServer]
    #: Says whether a message between a client and the facade of this name is lost now.
    is_lost: Callable[[str], bool]


WORLD = _World()


async def ask(method: str, address: str, path: str, body: bytes, headers: Any) -> Answer:
    """Sends a request; returns its answer, with code 0 if the connection was refused or cut.

    A lost request or answer makes this call wait for ever.
    """
    dice = WORLD.dice
    await asyncio.sleep(dice.uniform(0.0002, 0.003))
    server = WORLD.servers.get(address)
    if server is None:
        return Answer(0, "")
    if WORLD.is_lost(server.place.name):
        await asyncio.Event().wait()
    task = server.answer(method, path, body, headers)
    ended = WORLD.loop.create_future()
    task.add_done_callback(lambda _: ended.cancel())
    while not ended.done():
        await asyncio.wait([ended], timeout=1.0)
        if not server.place.alive:
            return Answer(0, "")
    if task.cancelled():
        return Answer(0, "")
    await asyncio.sleep(dice.uniform(0.0002, 0.003))
    if WORLD.is_lost(server.place.name):
        await asyncio.Event().wait()
    answer: Answer = task.result()
    return answer
