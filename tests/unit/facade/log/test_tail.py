"""The tail without a broker: how it ends, and how it begins again."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from fabric_jobs.facade.log import Checkpoint, tail
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.runtime.settings import KafkaSettings
from tests.support.log_kit import RecordingReader
from tests.support.partition_kit import Broker, Consumer


class ForgetfulReader(RecordingReader):
    """A reader that gets all records at each start."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        return {}


async def test_tail_cancelled_while_its_consumer_connects_closes_the_consumer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka's consumer has connections and tasks before `start` returns."""
    consumer = SimpleNamespace(stop=AsyncMock(), _client=SimpleNamespace(_conns={}))
    connecting = asyncio.Event()

    async def connect(*_: Any) -> None:
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tail, "AIOKafkaConsumer", lambda **_: consumer)
    monkeypatch.setattr(tail, "connect_client", connect)
    running = asyncio.create_task(Tail(KafkaSettings(), "t", 1, RecordingReader()).run())
    await connecting.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    consumer.stop.assert_awaited_once()


@pytest.mark.parametrize("keeps_position", [True, False])
async def test_offset_out_of_range_resets_only_a_reader_that_keeps_no_position(
    keeps_position: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that lost its power answers so until it knows that another one leads."""
    broker = Broker()
    broker.append()
    reader = RecordingReader() if keeps_position else ForgetfulReader()
    monkeypatch.setattr(tail, "AIOKafkaConsumer", lambda **_: Consumer(broker))
    monkeypatch.setattr(tail, "connect_client", AsyncMock())
    monkeypatch.setattr(tail, "stop_client", AsyncMock())
    running_tail = Tail(KafkaSettings(), "t", 1, reader)
    running = asyncio.create_task(running_tail.run())
    try:
        await running_tail.wait_for({0: 1})
        broker.is_behind = True
        await broker.told.wait()
        broker.append()
        await running_tail.wait_for({0: 2})
    finally:
        running.cancel()

    assert reader.resets == (not keeps_position)
    assert reader.values == [record.value for record in broker.records]
