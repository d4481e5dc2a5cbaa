"""Appends: a supervised idempotent producer whose waits all end."""

import asyncio
import logging
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from facade.log.clients import started
from facade.log.errors import LogUnavailableError

log = logging.getLogger("fabric_jobs.log")

STOP_S = 5.0


class Appender:
    """Appends records to one topic; replaces its producer when that fails."""

    def __init__(self, servers: str, topic: str, max_record_bytes: int) -> None:
        self._servers = servers
        self._topic = topic
        self._max_record_bytes = max_record_bytes
        self._producer: asyncio.Future[AIOKafkaProducer] = (
            asyncio.get_running_loop().create_future()
        )
        self._failed = asyncio.Event()
        self._outstanding: set[asyncio.Future[object]] = set()

    async def run(self) -> None:
        """Keeps a producer until cancelled."""
        while True:
            producer: AIOKafkaProducer = await started(self._make)
            failed = self._failed = asyncio.Event()
            self._producer.set_result(producer)
            try:
                await failed.wait()
            finally:
                self._producer = asyncio.get_running_loop().create_future()
                # First the old sender, then a new one: two would race each other's records.
                await _stopped(producer)
                # What it never answered for stays unknown; nobody is to wait for it any longer.
                for acknowledged in self._outstanding.copy():
                    acknowledged.cancel()

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[object]:
        """Hands the record over as soon as there is a producer.

        The future ends with the broker's word, or is cancelled.

        Raises `LogUnavailableError`; the outcome is unknown unless the future says it.
        """
        producer = await asyncio.shield(self._producer)
        try:
            acknowledged: asyncio.Future[object] = await producer.send(
                self._topic, key=key, value=value, partition=partition, headers=headers
            )
        except KafkaError as error:
            self._failed.set()
            raise LogUnavailableError(f"The record was not taken: {error!r}.") from error
        self._outstanding.add(acknowledged)
        acknowledged.add_done_callback(self._acknowledged)
        return acknowledged

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",  # accepted means that every in-sync replica has it
            enable_idempotence=True,  # the client's own retries write no record twice
            max_request_size=self._max_record_bytes,
            linger_ms=0,  # what waits while a request is in flight goes out together
        )

    def _acknowledged(self, acknowledged: asyncio.Future[object]) -> None:
        self._outstanding.discard(acknowledged)
        # aiokafka's sender dies for good on an out-of-order sequence, so any failure replaces it.
        if not acknowledged.cancelled() and (error := acknowledged.exception()):
            log.warning("an append failed, the producer is replaced: %r", error)
            self._failed.set()


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Flushes for a while, then ends the sender with what it still holds."""
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(STOP_S):
            await producer.stop()
            return
    # `stop` hangs while the brokers are away, and aiokafka has no public way past it.
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(STOP_S):
            await producer._sender.close()
    await producer.client.close()
