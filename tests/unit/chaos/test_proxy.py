"""A path that is whole, reset or silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import Proxy

SHORT_S = 0.2


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy to a server that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionError:
            pass  # the path was cut
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}").running() as proxy:
        yield proxy


@asynccontextmanager
async def connected(
    proxy: Proxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through the proxy."""
    host, _, port = proxy.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_proxy_carries_bytes_both_ways() -> None:
    """It carries large amounts, too."""
    sent = b"x" * 1_000_000
    async with asyncio.timeout(10), echo() as proxy, connected(proxy) as (reader, writer):
        writer.write(sent)

        assert await reader.readexactly(len(sent)) == sent


async def test_dropped_path_resets_old_and_new_connections() -> None:
    """The path carries bytes again afterwards."""
    async with asyncio.timeout(10), echo() as proxy:
        async with connected(proxy) as (reader, writer):
            writer.write(b"a")
            await reader.readexactly(1)
            async with proxy.dropping():
                with pytest.raises(ConnectionError):
                    await reader.readexactly(1)
                async with connected(proxy) as (refused, _):
                    with pytest.raises(ConnectionError):
                        await refused.readexactly(1)
        async with connected(proxy) as (reader, writer):
            writer.write(b"b")

            assert await reader.readexactly(1) == b"b"


async def test_silent_path_carries_what_was_sent_after_it_is_restored() -> None:
    """No connection and no byte is lost."""
    async with asyncio.timeout(10), echo() as proxy, connected(proxy) as (reader, writer):
        writer.write(b"a")
        await reader.readexactly(1)
        async with proxy.silent():
            writer.write(b"b")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT_S):
                    await reader.readexactly(1)

        assert await reader.readexactly(1) == b"b"
