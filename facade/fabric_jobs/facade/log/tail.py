"""The tail: reads all records of the topic into one reader, each partition in order."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol
from zlib import crc32

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord
from msgspec import Struct
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.facade.log.codes import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.errors import LogDataLossError
from fabric_jobs.runtime.kafka.clients import (
    STOP_TIMEOUT_S,
    KafkaRefusedError,
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_within,
)
from fabric_jobs.runtime.settings import KafkaSettings, variable

log = logging.getLogger("fabric_jobs.log")

#: Milliseconds that one poll waits for records.
POLL_MS = 200
#: Seconds without a poll, or without the log's end, after which the topic may be another one. Then
#: the tail verifies that the topic still holds what was read, before it applies more records.
GAP_S = 5.0
#: Records that are given to the reader at a time: few enough to keep the event loop responsive.
MAX_BATCH_RECORDS = 500


class Record(Struct, frozen=True):
    """One record of the topic."""

    partition: int
    offset: int
    #: The broker's time of the record, in milliseconds since 1970.
    time_ms: int
    value: bytes | None
    #: False if the record's codes are missing or wrong: a reader takes nothing from its value.
    is_accepted: bool = True

    @property
    def checksum(self) -> int:
        """The CRC-32 of the value: shows whether the record at an offset is still the same one."""
        return _checksum(self.value)


class Checkpoint(NamedTuple):
    """How far a reader has read a partition, and the last record that it read there."""

    #: The next offset to read.
    position: int
    last_offset: int
    last_checksum: int


class Reader(Protocol):
    """The receiver of the records. The tail calls its methods one at a time on the event loop."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The reader's checkpoint in each partition, without those that it never read."""

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes the next records, and the next offset to read in each partition."""

    def reset(self) -> None:
        """Forgets everything, because the log will be read from its beginning."""


class Tail:
    """Keeps one reader at the end of the log. It assigns itself all partitions and has no group."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        partitions: int,
        reader: Reader,
        codes: RecordCodes | None = None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._assignment = [TopicPartition(topic, number) for number in range(partitions)]
        self._broker = settings.broker
        self._reader = reader
        self._codes = codes
        #: The number of records read so far, by what their codes showed.
        self.code_counts: Counter[CodeVerdict] = Counter()
        self._waiters: list[tuple[dict[int, int], asyncio.Future[None]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._positions_at = float("-inf")
        self._polled_at = float("-inf")
        self._must_verify = False
        self._must_begin_again = False
        #: Rises each time the log is read from its beginning again.
        self.generation = 0
        #: The next offset to read, by partition.
        self.positions = dict.fromkeys(range(partitions), 0)

    async def run(self) -> None:
        """Reads until it is cancelled, and begins again after errors of Kafka's.

        Raises `LogDataLossError` if the embedded broker dropped records, and `KafkaRefusedError` if
        Kafka refuses.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((KafkaError, _RestartedError)),
            wait=wait_random_exponential(0.1, max=5),
            before_sleep=lambda state: log.warning(
                "the tail is restarted: %r", state.outcome and state.outcome.exception()
            ),
        )
        async for attempt in retrying:
            with attempt:
                await self._read_until_restarted()

    def restart(self) -> None:
        """Makes the tail continue at its positions with a new consumer."""
        if self._reading:
            self._reading.cancel()

    def verify(self) -> None:
        """Makes the tail verify the topic before it applies more records."""
        self._must_verify = True

    def begin_again(self) -> None:
        """Makes the tail read the log from its beginning, with a reader that was reset."""
        self._must_begin_again = True
        self.restart()

    async def wait_for(self, positions: dict[int, int]) -> None:
        """Returns once the reader has read everything before these positions (offsets)."""
        if self._has_reached(positions):
            return
        future = asyncio.get_running_loop().create_future()
        waiter = (positions, future)
        self._waiters.append(waiter)
        try:
            await future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def _read_until_restarted(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="read the log")
        try:
            await self._reading
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            raise _RestartedError from None
        finally:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, KafkaError, KafkaRefusedError, LogDataLossError):
                await self._reading

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            enable_auto_commit=False,  # the reader keeps the position together with its data
            auto_offset_reset="none",  # an offset out of range must raise, not skip records
            fetch_max_wait_ms=self._broker.fetch_max_wait_ms,
        )
        await connect_client(consumer, self._settings)
        try:
            consumer.assign(self._assignment)
            with map_authorization_errors(self._settings, "Read", self._topic):
                await self._resume(consumer)
                while True:
                    await self._poll(consumer)
        except OffsetOutOfRangeError as error:
            self._handle_out_of_range(error)
            raise
        finally:
            await stop_within(STOP_TIMEOUT_S, consumer.stop())

    async def _resume(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks to the reader's checkpoints, or to the beginning if the log is another one."""
        checkpoints = self._reader.checkpoints()
        if self._must_begin_again:
            self._begin_again()
            checkpoints = {}
        elif not await self._is_same_log(consumer, checkpoints):
            if not self._broker.keeps_log:
                raise LogDataLossError(_DATA_LOSS)
            log.warning(
                "the topic %s is not the one that was read before: all of it is read again",
                self._topic,
            )
            self._begin_again()
            checkpoints = {}
        self._must_verify = False
        self._polled_at = time.monotonic()
        first = await consumer.beginning_offsets(self._assignment)
        for partition in self._assignment:
            checkpoint = checkpoints.get(partition.partition)
            position = checkpoint.position if checkpoint else first[partition]
            consumer.seek(partition, position)
            self.positions[partition.partition] = position
        self._wake()

    async def _is_same_log(
        self, consumer: AIOKafkaConsumer, checkpoints: dict[int, Checkpoint]
    ) -> bool:
        """Whether the topic still has, in each partition, the record that the reader read last."""
        read = [tp for tp in self._assignment if tp.partition in checkpoints]
        if len(read) < len(checkpoints):
            return False
        first = await consumer.beginning_offsets(read)
        end = await consumer.end_offsets(read)
        for partition in read:
            checkpoint = checkpoints[partition.partition]
            has_record = first[partition] <= checkpoint.last_offset
            if not (has_record and checkpoint.position <= end[partition]):
                return False
            consumer.seek(partition, checkpoint.last_offset)
        for partition in read:
            checkpoint = checkpoints[partition.partition]
            last = await consumer.getone(partition)
            found = (last.offset, _checksum(last.value))
            if found != (checkpoint.last_offset, checkpoint.last_checksum):
                return False
        return True

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        """Gives the next records to the reader, and wakes those who wait for their positions."""
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_BATCH_RECORDS)
        positions = {tp.partition: batch[-1].offset + 1 for tp, batch in fetched.items()}
        now = time.monotonic()
        if now - self._polled_at > GAP_S:
            self._must_verify = True
        self._polled_at = now
        if fetched and self._must_verify:
            raise _RestartedError
        if not fetched or now - self._positions_at > POLL_MS / 1000:
            # Some offsets hold no record for a consumer, such as a transaction's end. Only the
            # consumer's own position passes them.
            self._positions_at = now
            positions = {tp.partition: await consumer.position(tp) for tp in self._assignment}
        records = [
            Record(
                record.partition,
                record.offset,
                record.timestamp,
                record.value,
                self._is_accepted(record),
            )
            for batch in fetched.values()
            for record in batch
        ]
        if refused := [record for record in records if not record.is_accepted]:
            log.error(
                "%d records of %s were skipped, because they have no right code of %s: the first "
                "is at partition %d offset %d",
                len(refused),
                self._topic,
                variable("record_keys"),
                refused[0].partition,
                refused[0].offset,
            )
        positions = self.positions | positions
        if records or positions != self.positions:
            self._reader.apply(records, positions)
            self.positions = positions
            self._wake()

    def _is_accepted(self, record: ConsumerRecord) -> bool:
        """Verifies the record's codes, if this log has codes, and counts what they show."""
        if self._codes is None:
            return True
        verdict = self._codes.verify(record)
        self.code_counts[verdict] += 1
        return self._codes.accepts(verdict)

    def _handle_out_of_range(self, error: OffsetOutOfRangeError) -> None:
        if not self._broker.keeps_log:
            raise LogDataLossError(_DATA_LOSS) from error
        log.warning("the topic has dropped the next record to read, and is read again: %r", error)
        self._begin_again()

    def _begin_again(self) -> None:
        self._reader.reset()
        self._must_begin_again = False
        self.generation += 1
        self.positions = dict.fromkeys(self.positions, 0)

    def _has_reached(self, positions: dict[int, int]) -> bool:
        return all(self.positions[number] >= offset for number, offset in positions.items())

    def _wake(self) -> None:
        waiting = []
        for positions, future in self._waiters:
            if self._has_reached(positions):
                if not future.done():
                    future.set_result(None)
            else:
                waiting.append((positions, future))
        self._waiters = waiting


class _RestartedError(Exception):
    """`restart` ended the reading."""


def _checksum(value: bytes | None) -> int:
    return crc32(value or b"")


_DATA_LOSS = (
    "The embedded broker dropped records, because it keeps about 5 MB for each partition. Start "
    "again, or set FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS to use Apache Kafka."
)
