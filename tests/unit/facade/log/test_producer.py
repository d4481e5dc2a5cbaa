"""The producer that appends records: what it promises, and how it is replaced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import RecordMetadata

from fabric_jobs.facade.log import LogUnavailableError, producer
from fabric_jobs.facade.log.acknowledged import AppendedRecord
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.settings import KafkaSettings


class FakeProducer:
    """A producer whose acknowledgements a test gives."""

    def __init__(self) -> None:
        self.acknowledgements: list[asyncio.Future[RecordMetadata]] = []
        #: Raised by the next calls of `send`, if set.
        self.error: KafkaError | None = None

    async def send(self, topic: str, **record: Any) -> asyncio.Future[RecordMetadata]:
        """Takes a record."""
        if self.error:
            raise self.error
        self.acknowledgements.append(asyncio.get_running_loop().create_future())
        return self.acknowledgements[-1]


class World:
    """An appender, and the producers that it has started."""

    def __init__(self) -> None:
        self.producers: list[FakeProducer] = []
        #: The starts and stops of producers, in their order.
        self.steps: list[str] = []
        self.applied: list[AppendedRecord] = []
        self.appender = Appender(KafkaSettings(), "t", 1000, None, self.applied.append)

    async def start(self, *_: Any, **__: Any) -> FakeProducer:
        """As `start_client`."""
        self.steps.append("start")
        self.producers.append(FakeProducer())
        return self.producers[-1]

    async def stop(self, stopped: FakeProducer) -> None:
        """As `stop_client`."""
        self.steps.append("stop")

    async def append(self) -> asyncio.Future[RecordMetadata]:
        """Appends a record."""
        return await self.appender.append(3, b"key", b"value", [("name", b"header")])


@asynccontextmanager
async def run_appender(patch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Runs an appender until the end of the block."""
    world = World()
    patch.setattr(producer, "start_client", world.start)
    patch.setattr(producer, "stop_client", world.stop)
    running = asyncio.create_task(world.appender.run())
    async with asyncio.timeout(10):
        yield world
    running.cancel()
    await asyncio.wait({running})


async def test_producer_waits_for_every_in_sync_replica_and_writes_no_record_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job that was accepted would otherwise be lost with one broker."""

    async def make_client(settings: KafkaSettings, make: Any, **arguments: Any) -> Any:
        return make(**client_arguments(settings), **arguments)

    monkeypatch.setattr(producer, "start_client", make_client)
    made: AIOKafkaProducer = await Appender(KafkaSettings(), "t", 1000)._start_producer()
    every_replica, is_idempotent = made._sender._acks == -1, made._txn_manager is not None
    await made.stop()

    assert (every_replica, is_idempotent) == (True, True)


def fail_acknowledgement(first: FakeProducer) -> None:
    """Kafka refuses the first record."""
    first.acknowledgements[0].set_exception(OutOfOrderSequenceNumber())


def fail_send(first: FakeProducer) -> None:
    """The producer takes no more records."""
    first.error = KafkaError()


@pytest.mark.parametrize("fail", [fail_acknowledgement, fail_send])
async def test_producer_that_fails_is_replaced_and_its_appends_have_an_unknown_outcome(
    fail: Callable[[FakeProducer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one is stopped before the new one starts, so that records keep their order."""
    unhandled = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with run_appender(monkeypatch) as world:
        one, other = await world.append(), await world.append()
        fail(world.producers[0])
        if fail is fail_send:
            with pytest.raises(LogUnavailableError):
                await world.append()
        await asyncio.wait({one, other})
        later = await world.append()

        assert other.cancelled()
        assert one.cancelled() == (fail is fail_send)
        assert world.producers[1].acknowledgements == [later]
        assert not later.done()
    assert world.steps == ["start", "stop", "start", "stop"]
    assert unhandled == []


async def test_producer_that_refuses_a_record_for_its_size_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record harms no other record."""
    async with run_appender(monkeypatch) as world:
        other = await world.append()
        world.producers[0].error = MessageSizeTooLargeError()
        with pytest.raises(LogUnavailableError):
            await world.append()
        world.producers[0].error = None
        for _ in range(9):  # more turns of the loop than a replacement needs
            await asyncio.sleep(0)
        await world.append()

        assert not other.done()
        assert len(world.producers) == 1


async def test_appender_without_permission_ends_with_the_missing_acl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new producer would be refused too."""
    world = World()
    monkeypatch.setattr(producer, "start_client", world.start)
    monkeypatch.setattr(producer, "stop_client", world.stop)
    running = asyncio.create_task(world.appender.run())
    await world.append()
    world.producers[0].acknowledgements[0].set_exception(TopicAuthorizationFailedError())
    async with asyncio.timeout(10):
        with pytest.raises(KafkaRefusedError, match="Write"):
            await running

    assert world.steps == ["start", "stop"]


@pytest.mark.parametrize(("timestamp_type", "is_applied"), [(1, True), (0, False)])
async def test_acknowledged_record_is_applied_only_with_the_broker_s_time(
    timestamp_type: int, *, is_applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that this program gave the record is not the one that other replicas read."""
    async with run_appender(monkeypatch) as world:
        acknowledgement = await world.append()
        acknowledgement.set_result(RecordMetadata("t", 3, None, 7, 1000, timestamp_type, 0))
        await asyncio.sleep(0)

        expected = AppendedRecord("t", 3, 7, 1000, b"key", b"value", [("name", b"header")])
        assert world.applied == [expected] * is_applied
