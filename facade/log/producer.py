"""Appends: a supervised idempotent producer whose waits all end."""

import asyncio
import logging
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from facade.log.errors import LogUnavailableError

log = logging.getLogger("fabric_jobs.log")

STOP_S = 5.0


class Appender:
    """Appends records to one topic; replaces its producer when that fails."""

    def __init__(self, servers: str, topic: str, max_record_bytes: int) -> None:
        self._servers = servers
        self._topic = topic
        self._max_record_bytes = max_record_bytes
        self._producer: AIOKafkaProducer | None = None
        self._failed = asyncio.Event()
        self._outstanding: set[asyncio.Future[object]] = set()

    async def run(self) -> None:
        """Keeps a producer until cancelled."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(KafkaError), wait=wait_random_exponential(0.1, max=5)
        )
        while True:
            producer: AIOKafkaProducer = await retrying(self._started)
            self._failed.clear()
            self._producer = producer
            try:
                await self._failed.wait()
            finally:
                self._producer = None
                # First the old sender, then a new one: two would race each other's records.
                await _stopped(producer)
                # What it never answered for stays unknown; nobody is to wait for it any longer.
                for acknowledged in self._outstanding.copy():
                    acknowledged.cancel()

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[object]:
        """Hands the record over; the future ends with the broker's word, or is cancelled.

        Raises `LogUnavailableError`; the outcome is unknown unless the future says it.
        """
        producer = self._producer
        if producer is None:
            raise LogUnavailableError("Kafka can't be reached for writing.")
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

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",  # accepted means that every in-sync replica has it
            enable_idempotence=True,  # the client's own retries write no record twice
            max_request_size=self._max_record_bytes,
            linger_ms=0,  # what waits while a request is in flight goes out together
        )
        try:
            await producer.start()
        except BaseException:
            await _stopped(producer)
            raise
        return producer

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
