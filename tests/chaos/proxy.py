"""A loopback TCP proxy that can reset its connections or hold back their bytes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

_CHUNK = 64 * 1024


class Proxy:
    """Forwards connections from its address to a target."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._pairs: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        #: The proxy's own `HOST:PORT`.
        self.address = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """The proxy on a free port until the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self._drop()
            await asyncio.gather(*self._pairs, return_exceptions=True)

    @asynccontextmanager
    async def dropping(self) -> AsyncIterator[None]:
        """Reset all connections, old and new, until the end of the block."""
        self._refusing = True
        self._drop()
        try:
            yield
        finally:
            self._refusing = False

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """Hold back all bytes until the end of the block, with connections left open."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def _drop(self) -> None:
        for pair in self._pairs:
            pair.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair
        self._pairs.add(pair)
        try:
            if self._refusing:
                _reset(writer)
            else:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)  # one side closed the connection, or the path is reset
        finally:
            self._pairs.discard(pair)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        there, back = await asyncio.open_connection(self._host, self._port)
        up = asyncio.create_task(self._pump(reader, back))
        down = asyncio.create_task(self._pump(there, writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            _reset(back)
            raise
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            back.close()  # close() still sends what was written before

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
            await self._flowing.wait()  # a silent path holds back the end of a stream, too


@asynccontextmanager
async def all_of(disturbances: Iterable[AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
    """Disturb several paths until the end of the block."""
    async with AsyncExitStack() as stack:
        for disturbance in disturbances:
            await stack.enter_async_context(disturbance)
        yield


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset, because a broken path can't carry an orderly end."""
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()
