"""The connections of a Kafka client whose start or stop is cut short, to a broker on a socket."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from fabric_jobs.runtime.kafka import clients
from fabric_jobs.runtime.kafka.clients import connect_client, stop_client
from fabric_jobs.runtime.settings import KafkaSettings

METADATA, API_VERSIONS = 3, 18


class OneBroker:
    """A broker that answers which versions it speaks, and perhaps which brokers there are."""

    def __init__(self, *, tells_brokers: bool) -> None:
        self._tells_brokers = tells_brokers
        self.port = 0
        #: Set by a request that gets no answer, or none yet.
        self.unanswered = asyncio.Event()
        #: No request is answered while it is not set.
        self.answers = asyncio.Event()
        self.answers.set()
        self.open_connections = 0
        self.connections = 0
        self._changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection until its client closes it."""
        self.connections += 1
        self.open_connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                key, _, number = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
                if not self.answers.is_set():
                    self.unanswered.set()
                    await self.answers.wait()
                if key == API_VERSIONS:
                    body = struct.pack(">hi", 0, 2)
                    body += struct.pack(">hhhhhh", METADATA, 0, 0, API_VERSIONS, 0, 0)
                elif key == METADATA and self._tells_brokers:
                    host = b"127.0.0.1"
                    body = struct.pack(">iih", 1, 0, len(host)) + host
                    body += struct.pack(">ii", self.port, 0)
                else:
                    self.unanswered.set()
                    continue
                writer.write(struct.pack(">ii", len(body) + 4, number) + body)
        writer.close()
        async with self._changed:
            self.open_connections -= 1
            self._changed.notify_all()

    async def wait_until_closed(self) -> None:
        """Returns once the clients have closed every connection."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: not self.open_connections)


@asynccontextmanager
async def run_broker(*, tells_brokers: bool) -> AsyncIterator[OneBroker]:
    """Runs the broker on a free port."""
    broker = OneBroker(tells_brokers=tells_brokers)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    async with server:
        broker.port = server.sockets[0].getsockname()[1]
        yield broker


def settings_of(broker: OneBroker) -> KafkaSettings:
    """The settings of a client of the broker."""
    return KafkaSettings(kafka_bootstrap_servers=f"127.0.0.1:{broker.port}")


@pytest.mark.parametrize("make", [AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient])
async def test_connect_client_cancelled_before_the_first_answer_closes_the_connection(
    make: Callable[..., Any],
) -> None:
    """aiokafka itself leaves it to the garbage collector, which warns."""
    async with run_broker(tells_brokers=False) as broker:
        client = make(bootstrap_servers=f"127.0.0.1:{broker.port}")
        connecting = asyncio.create_task(connect_client(client, settings_of(broker)))
        await broker.unanswered.wait()
        connecting.cancel()
        # The kept error refers to the connection, so no garbage collection closes it.
        with pytest.raises(asyncio.CancelledError) as kept:
            await connecting
        await broker.wait_until_closed()
        await stop_client(client)

    assert kept.value.__traceback__
    assert broker.connections == 1


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_stop_client_cut_short_leaves_no_task_and_no_connection(
    monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    """The stop takes too long, or is cancelled. The client does not connect again."""
    is_stopping = asyncio.Event()

    async def hang() -> None:
        is_stopping.set()
        await asyncio.Event().wait()

    if not is_cancelled:
        monkeypatch.setattr(clients, "STOP_TIMEOUT_S", 0.05)
    async with run_broker(tells_brokers=True) as broker:
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}")
        await connect_client(consumer, settings_of(broker))
        assert await consumer._client.ready(0)
        stop = consumer.stop
        monkeypatch.setattr(consumer, "stop", hang)
        stopping = asyncio.create_task(stop_client(consumer))
        await is_stopping.wait()
        if is_cancelled:
            stopping.cancel()
        await asyncio.wait([stopping])
        await broker.wait_until_closed()

        assert stopping.cancelled() is is_cancelled
        assert not await consumer._client.ready(0)
        tasks = [consumer._fetcher._fetch_task, consumer._client._sync_task]
        await asyncio.wait(tasks)
        await stop()
    assert broker.open_connections == 0


async def test_connection_that_is_made_after_its_client_was_abandoned_is_closed() -> None:
    """A producer's last batch would go out on it, after the records of the next producer."""
    async with run_broker(tells_brokers=True) as broker:
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}")
        await connect_client(consumer, settings_of(broker))
        broker.answers.clear()
        connecting = asyncio.create_task(consumer._client.ready(0))
        await broker.unanswered.wait()
        await stop_client(consumer)
        broker.answers.set()
        await connecting
        await broker.wait_until_closed()

    assert broker.connections == 2


async def test_stop_client_closes_a_client_that_stops() -> None:
    """It may be called for a client that never started, too."""
    async with run_broker(tells_brokers=True) as broker:
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}")
        await connect_client(consumer, settings_of(broker))
        assert await consumer._client.ready(0)
        await stop_client(consumer)
        await broker.wait_until_closed()
        await stop_client(AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{broker.port}"))

    assert broker.connections == 2
