"""Holds back a log's fetches, so that only acknowledgements bring it records."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from fabric_jobs.facade.log import tail


class FetchGate:
    """A gate before the fetches of all tails that start after it was installed. It is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0
        self._used = asyncio.Event()
        monkeypatch.setattr(tail, "AIOKafkaConsumer", self._consumer)

    async def close(self) -> None:
        """Lets no further fetch pass, and returns once a tail has fetched and none is in flight.

        A log of an empty topic is read to its end before its tail has begun.
        """
        async with asyncio.timeout(10):
            await self._used.wait()
            self._open.clear()
            await self._idle.wait()

    def open(self) -> None:
        """Lets the fetches pass again."""
        self._open.set()

    def _consumer(self, **arguments: Any) -> AIOKafkaConsumer:
        gate = self

        class Gated(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka is untyped
            async def start(self) -> None:
                await super().start()
                fetch = self._fetcher._proc_fetch_request

                async def fetch_when_open(*request: Any) -> object:
                    try:
                        await gate._open.wait()
                    except asyncio.CancelledError:
                        return False  # as aiokafka does when the consumer is stopped
                    gate._in_flight += 1
                    gate._idle.clear()
                    gate._used.set()
                    try:
                        return await fetch(*request)
                    finally:
                        gate._in_flight -= 1
                        if not gate._in_flight:
                            gate._idle.set()

                self._fetcher._proc_fetch_request = fetch_when_open

        return Gated(**arguments)
