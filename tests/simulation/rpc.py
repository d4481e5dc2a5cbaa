"""gRPC in memory: a server that takes the product's services, and channels to it.

A call has two directions. Each keeps the order of its messages, which travel as bytes. The way
between two nodes may be cut, which both sides see, or silent, which they see by their keepalive
pings after `KEEPALIVE_S`.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from random import Random
from types import SimpleNamespace
from typing import Any

import grpc

from fabric_jobs.runtime.channels import PING_INTERVAL_S, PING_TIMEOUT_S
from tests.simulation.loop import Place, SimulatedLoop, current_place, resolve

#: Seconds after which a side notices that the other is silent.
KEEPALIVE_S = PING_INTERVAL_S + PING_TIMEOUT_S
UP, DOWN = "up", "down"
#: The range of delays of a message, in seconds.
DELAY_S = (0.0002, 0.002)
RESET = grpc.StatusCode.UNAVAILABLE, "simulated: connection reset"


class Wire:
    """The way between an executor and a facade."""

    def __init__(self) -> None:
        self.delay_s = DELAY_S
        #: The time until which nothing passes, by direction.
        self.silent_until = {UP: 0.0, DOWN: 0.0}
        self.calls: list[Call] = []


class Network:
    """The servers of a world by their addresses, and the ways to them."""

    def __init__(self, loop: SimulatedLoop, dice: Random) -> None:
        self.loop = loop
        self.dice = dice
        self.servers: dict[str, SimulatedServer] = {}
        self.wires: defaultdict[tuple[str, str], Wire] = defaultdict(Wire)

    def wire(self, client: str, server: str) -> Wire:
        """Returns the way between two nodes."""
        return self.wires[client, server]

    def cut(self, client: str, server: str) -> None:
        """Ends every call between two nodes; both sides see it."""
        for call in list(self.wires[client, server].calls):
            call.fail(*RESET)

    def bury(self, place: Place, *, silently: bool) -> None:
        """Ends the calls of a node that has crashed."""
        for address, server in list(self.servers.items()):
            if server.place is place:
                del self.servers[address]
        for call in self.calls_of(place):
            self.reset(call, KEEPALIVE_S if silently else self.dice.uniform(0.0, 0.01))

    def calls_of(self, place: Place) -> "list[Call]":
        """Returns the calls that a node makes or serves."""
        return [
            call
            for wire in self.wires.values()
            for call in wire.calls
            if place in (call.client_place, call.server_place)
        ]

    def reset(self, call: "Call", delay_s: float) -> None:
        """Ends a call after a delay; both sides see it."""
        self.loop.call_later(delay_s, call.fail, *RESET, context=self.loop.outside)


class _World(SimpleNamespace):
    network: Network


WORLD = _World()


class SimulatedServer:
    """Stands for `grpc.aio.Server`."""

    def __init__(self, interceptors: Any = ()) -> None:
        self.place = current_place()
        self.context = copy_context()
        self._handlers: list[Any] = []
        self._interceptors = list(interceptors)
        self._address = ""
        self._calls: set[asyncio.Task[Any]] = set()

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None: ...

    def add_insecure_port(self, address: str) -> int:
        self._address = address
        return int(address.rpartition(":")[2])

    async def start(self) -> None:
        WORLD.network.servers[self._address] = self

    async def stop(self, grace: float | None) -> None:
        WORLD.network.servers.pop(self._address, None)
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in sorted(self._calls, key=hash):
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    async def handler(self, method: str) -> Any:
        """Returns the handler of a method, inside the interceptors."""
        details = SimpleNamespace(method=method, invocation_metadata=())

        async def find(details: Any) -> Any:
            found = (one.service(details) for one in self._handlers)
            return next((one for one in found if one is not None), None)

        continuation = find
        for interceptor in reversed(self._interceptors):
            continuation = _bind(interceptor.intercept_service, continuation)
        return await continuation(details)

    def serve(self, call: "Call") -> None:
        """Runs a call in this server's node."""
        loop = WORLD.network.loop
        task = loop.create_task(call.run_server(self), context=self.context.copy())
        call.server_task = task
        self._calls.add(task)
        task.add_done_callback(self._calls.discard, context=self.context.copy())


def _bind(intercept: Callable[..., Any], continuation: Any) -> Any:
    async def next_one(details: Any) -> Any:
        return await intercept(continuation, details)

    return next_one


class _Direction:
    """The messages of one direction, in their order."""

    def __init__(self, call: "Call", name: str) -> None:
        self._call = call
        self._name = name
        self._last_at = 0.0
        self.arrived: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def send(self, message: Any) -> None:
        loop = self._call.network.loop
        at = loop.time() + self._call.network.dice.uniform(*self._call.wire.delay_s)
        self._last_at = max(at, self._last_at)
        loop.call_at(self._last_at, self._arrive, message, context=loop.outside)

    def _arrive(self, message: Any) -> None:
        loop = self._call.network.loop
        silent_until = self._call.wire.silent_until[self._name]
        if silent_until > loop.time():
            self._last_at = max(self._last_at, silent_until)
            loop.call_at(silent_until, self._arrive, message, context=loop.outside)
            return
        self.arrived.append(message)
        self.wake()

    def wake(self) -> None:
        if self._waiter:
            resolve(self._waiter, None)

    async def receive(self) -> Any:
        """Returns the next message; `None` once the direction or the call has ended."""
        while not self.arrived:
            if self._call.error:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.arrived.popleft()


class Call:
    """One call, from both sides."""

    def __init__(self, network: Network, address: str, method: str, codecs: Any) -> None:
        self.network = network
        self.client_place = current_place()
        self.server_place: Place | None = None
        self.server_task: asyncio.Task[Any] | None = None
        self._address = address
        self.method = method
        self.serialize, self.deserialize = codecs
        self.wire = Wire()
        self.up, self.down = _Direction(self, UP), _Direction(self, DOWN)
        #: The error that ended the call for the client.
        self.error: tuple[grpc.StatusCode, str] | None = None
        self._ended = False

    # The client's side, as `grpc.aio.StreamStreamCall`.

    async def wait_for_connection(self) -> None:
        server = self.network.servers.get(self._address)
        await asyncio.sleep(self.network.dice.uniform(0.001, 0.01))
        if server is not None:
            self.wire = self.network.wire(self.client_place.name, server.place.name)
            silent_s = max(self.wire.silent_until.values()) - self.network.loop.time()
            if silent_s > 0 or server.place.paused:
                await asyncio.sleep(max(silent_s, 20.0))  # the caller gives up earlier
        if server is None or self.network.servers.get(self._address) is not server:
            self.error = grpc.StatusCode.UNAVAILABLE, "simulated: connection refused"
            raise self._rpc_error()
        self.server_place = server.place
        self.wire.calls.append(self)
        server.serve(self)

    async def write(self, message: Any) -> None:
        if self.error or self._ended:
            raise asyncio.InvalidStateError("simulated: the call has ended")
        self.up.send(self.serialize(message))
        await asyncio.sleep(0)

    async def done_writing(self) -> None:
        self.up.send(grpc.aio.EOF)

    async def read(self) -> Any:
        message = await self.down.receive()
        if message is None or isinstance(message, tuple):
            if self.error is None and message is not None:
                self.error = message
            self._end()
            if self.error and self.error[0] is grpc.StatusCode.OK:
                return grpc.aio.EOF
            raise self._rpc_error()
        return self.deserialize(message)

    async def responses(self, request: Any) -> AsyncIterator[Any]:
        """Sends the only request, and yields the responses."""
        try:
            await self.wait_for_connection()
            await self.write(request)
            while (response := await self.read()) is not grpc.aio.EOF:
                yield response
        finally:
            self._end()

    def cancel(self) -> bool:
        self.fail(grpc.StatusCode.CANCELLED, "simulated: cancelled")
        return True

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """Ends the call with an error, at once for both sides."""
        if self.error is None:
            self.error = code, details
        self._end()
        self.up.wake()
        self.down.wake()
        if self.server_task and not self.server_task.done():
            self.server_task.cancel()

    def _end(self) -> None:
        self._ended = True
        if self in self.wire.calls:
            self.wire.calls.remove(self)

    def _rpc_error(self) -> grpc.aio.AioRpcError:
        code, details = self.error or (grpc.StatusCode.UNKNOWN, "")
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)

    # The server's side.

    async def run_server(self, server: SimulatedServer) -> None:
        handler = await server.handler(self.method)
        context = ServerContext()
        try:
            if handler.request_streaming:
                responses = handler.stream_stream(self._requests(handler), context)
                async for response in responses:
                    self.down.send(handler.response_serializer(response))
            elif handler.response_streaming:
                message = handler.request_deserializer(await self.up.receive())
                async for response in handler.unary_stream(message, context):
                    self.down.send(handler.response_serializer(response))
            else:
                message = handler.request_deserializer(await self.up.receive())
                response = await handler.unary_unary(message, context)
                self.down.send(handler.response_serializer(response))
        except grpc.aio.AbortError:
            self.down.send((context.code(), context.details()))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.network.loop.defects.append(f"{self.method}: {error!r}")
            self.down.send((grpc.StatusCode.UNKNOWN, repr(error)))
        else:
            self.down.send((grpc.StatusCode.OK, ""))

    async def _requests(self, handler: Any) -> AsyncIterator[Any]:
        while (data := await self.up.receive()) is not None and data is not grpc.aio.EOF:
            yield handler.request_deserializer(data)


class ServerContext:
    """Stands for `grpc.aio.ServicerContext`."""

    def __init__(self) -> None:
        self._status = grpc.StatusCode.OK, ""

    async def abort(self, code: grpc.StatusCode, details: str = "", metadata: Any = ()) -> None:
        self._status = code, details
        raise grpc.aio.AbortError(details)

    def code(self) -> grpc.StatusCode:
        return self._status[0]

    def details(self) -> str:
        return self._status[1]

    def invocation_metadata(self) -> Any:
        return ()

    def auth_context(self) -> dict[str, Any]:
        return {}

    def peer(self) -> str:
        return "simulated"


class SimulatedChannel:
    """Stands for `grpc.aio.Channel`; it is also what `open_channel` returns."""

    def __init__(self, address: str, *_: Any) -> None:
        self._address = address

    async def __aenter__(self) -> "SimulatedChannel":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def stream_stream(self, method: str, **codecs: Any) -> Callable[..., Any]:
        return lambda: Call(WORLD.network, self._address, method, _codecs(codecs))

    def unary_stream(self, method: str, **codecs: Any) -> Callable[..., Any]:
        def ask(request: Any, **_: Any) -> AsyncIterator[Any]:
            return Call(WORLD.network, self._address, method, _codecs(codecs)).responses(request)

        return ask

    def unary_unary(self, method: str, **codecs: Any) -> Callable[..., Any]:
        async def ask(request: Any, **_: Any) -> Any:
            call = Call(WORLD.network, self._address, method, _codecs(codecs))
            try:
                await call.wait_for_connection()
                await call.write(request)
                return await call.read()
            finally:
                call._end()

        return ask


def _codecs(options: dict[str, Any]) -> tuple[Any, Any]:
    return options["request_serializer"], options["response_deserializer"]
