"""Appends: a supervised idempotent producer whose waits all end."""

import asyncio
import logging

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from fabric_jobs.facade.log.clients import started
from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.runtime.kafka.clients import naming_denials, not_allowed, stopped
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")


class Appender:
    """Appends records to one topic; replaces its producer when that fails."""

    def __init__(self, settings: KafkaSettings, topic: str, max_record_bytes: int) -> None:
        self._settings = settings
        self._topic = topic
        self._max_record_bytes = max_record_bytes
        self._producer: asyncio.Future[AIOKafkaProducer] = (
            asyncio.get_running_loop().create_future()
        )
        self._failed = asyncio.Event()
        self._denied = False
        self._outstanding: set[asyncio.Future[object]] = set()

    async def run(self) -> None:
        """Keeps a producer until cancelled. Raises `KafkaRefusedError`."""
        while not self._denied:
            producer: AIOKafkaProducer = await self._started()
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
        raise not_allowed(self._settings, "Write", self._topic)

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[object]:
        """Hands the record over as soon as there is a producer.

        The future ends with the broker's word, or is cancelled.

        Raises `LogUnavailableError`; the outcome is unknown unless the future says it.
        """
        if self._producer.done():
            producer = self._producer.result()
        else:
            producer = await asyncio.shield(self._producer)
        try:
            acknowledged: asyncio.Future[object] = await producer.send(
                self._topic, key=key, value=value, partition=partition, headers=headers
            )
        except KafkaError as error:
            self._fail(error)
            raise LogUnavailableError(f"The record was not taken: {error!r}.") from error
        self._outstanding.add(acknowledged)
        acknowledged.add_done_callback(self._acknowledged)
        return acknowledged

    async def _started(self) -> AIOKafkaProducer:
        with naming_denials(self._settings, "Write", self._topic):
            return await started(
                self._settings,
                AIOKafkaProducer,
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
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, TopicAuthorizationFailedError):
            self._denied = True
        self._failed.set()


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Flushes for a while, then ends the sender with what it still holds."""
    if not await stopped(producer.stop()):
        # `stop` hangs while the brokers are away, and aiokafka has no public way past it.
        await stopped(producer._sender.close())
        await stopped(producer.client.close())
