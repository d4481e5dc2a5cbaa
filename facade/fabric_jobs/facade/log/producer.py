"""Appends records by an idempotent producer, which is replaced when it fails."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial as bind

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import RecordMetadata

from fabric_jobs.facade.log.acknowledged import AppendedRecord
from fabric_jobs.facade.log.clients import start_client
from fabric_jobs.facade.log.codes import RecordCodes
from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.facade.log.topic import MAX_OVERHEAD_BYTES
from fabric_jobs.runtime.kafka.clients import (
    map_authorization_errors,
    missing_acl_error,
    stop_client,
)
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

#: The type of a record's time that the broker has set.
_LOG_APPEND_TIME = 1


class Appender:
    """Appends records to one topic. Keep `run` running; it replaces a producer that failed.

    No append waits for ever: the futures of a failed producer are cancelled.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        max_record_bytes: int,
        codes: RecordCodes | None = None,
        on_acknowledged: Callable[[AppendedRecord], None] = lambda record: None,
    ) -> None:
        """`on_acknowledged` is called with each record that Kafka acknowledges with its time."""
        self._settings = settings
        self._topic = topic
        self._codes = codes
        self._on_acknowledged = on_acknowledged
        #: The size of the largest record. A later value counts for the next producer.
        self.max_record_bytes = max_record_bytes
        self._producer: asyncio.Future[AIOKafkaProducer] = (
            asyncio.get_running_loop().create_future()
        )
        self._failed = asyncio.Event()
        self._denied = False
        self._outstanding: set[asyncio.Future[RecordMetadata]] = set()

    async def run(self) -> None:
        """Keeps a producer running until it is cancelled.

        Raises `KafkaRefusedError` if Kafka refuses the connection, or does not allow the append.
        """
        while not self._denied:
            producer: AIOKafkaProducer = await self._start_producer()
            failed = self._failed = asyncio.Event()
            self._producer.set_result(producer)
            try:
                await failed.wait()
            finally:
                self._producer = asyncio.get_running_loop().create_future()
                # The old producer ends before the new one starts, so that records keep their order.
                await stop_client(producer)
                # The outcome of these appends stays unknown; their callers must not wait for ever.
                for acknowledged in self._outstanding.copy():
                    acknowledged.cancel()
        raise missing_acl_error(self._settings, "Write", self._topic)

    async def append(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[RecordMetadata]:
        """Waits for a producer, gives it the record, and returns the acknowledgement's future.

        The future ends with aiokafka's `RecordMetadata` (offset and broker's time) or its error, or
        is cancelled when the producer is replaced: the record may or may not be on the log then.
        Raises `LogUnavailableError` if the producer does not take the record.
        """
        if self._producer.done():
            producer = self._producer.result()
        else:
            producer = await asyncio.shield(self._producer)
        if self._codes:
            headers = headers + self._codes.write(self._topic, partition, key, value)
        try:
            acknowledged: asyncio.Future[RecordMetadata] = await producer.send(
                self._topic, key=key, value=value, partition=partition, headers=headers
            )
        except KafkaError as error:
            # A record that is too large harms no other record: the producer did not accept it.
            if not isinstance(error, MessageSizeTooLargeError):
                self._fail(error)
            raise LogUnavailableError(
                f"The producer did not take the record: {error!r}."
            ) from error
        self._outstanding.add(acknowledged)
        acknowledged.add_done_callback(bind(self._acknowledge, key, value, headers))
        return acknowledged

    async def _start_producer(self) -> AIOKafkaProducer:
        with map_authorization_errors(self._settings, "Write", self._topic):
            return await start_client(
                self._settings,
                AIOKafkaProducer,
                acks="all",  # acknowledged means that every in-sync replica has the record
                enable_idempotence=True,  # the client's retries write no record twice
                max_request_size=self.max_record_bytes + MAX_OVERHEAD_BYTES,
                linger_ms=0,  # records that wait for the request in flight go out together anyway
            )

    def _acknowledge(
        self,
        key: bytes,
        value: bytes,
        headers: list[tuple[str, bytes]],
        acknowledged: asyncio.Future[RecordMetadata],
    ) -> None:
        self._outstanding.discard(acknowledged)
        if acknowledged.cancelled():
            return
        if error := acknowledged.exception():
            # aiokafka's sender can't recover from an out-of-order sequence: any failure replaces
            # it.
            log.warning("an append failed, so the producer is replaced: %r", error)
            self._fail(error)
            return
        metadata = acknowledged.result()
        if has_broker_time(metadata):
            self._on_acknowledged(
                AppendedRecord(
                    self._topic,
                    metadata.partition,
                    metadata.offset,
                    metadata.timestamp,
                    key,
                    value,
                    headers,
                )
            )

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, TopicAuthorizationFailedError):
            self._denied = True
        self._failed.set()


def has_broker_time(metadata: RecordMetadata) -> bool:
    """Whether the time in an acknowledgement is the broker's, and not this program's."""
    return metadata.timestamp is not None and metadata.timestamp_type == _LOG_APPEND_TIME
