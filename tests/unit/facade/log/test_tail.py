"""The tail without a broker: how it ends."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from fabric_jobs.facade.log import tail
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.runtime.settings import KafkaSettings
from tests.support.log_kit import RecordingReader


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
