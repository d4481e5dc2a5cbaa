"""The tail: reads every record of the topic, in order, into one reader."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol
from zlib import crc32

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from msgspec import Struct
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.facade.log.errors import LogForgottenError
from fabric_jobs.runtime.kafka.clients import (
    KafkaRefusedError,
    client_arguments,
    naming_denials,
    start,
    stopped,
)
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

POLL_MS = 200
#: Records folded at a time: enough to be fast, few enough to keep the loop responsive.
BATCH = 500


class Record(Struct, frozen=True):
    """One record of the topic."""

    partition: int
    offset: int
    #: The broker's time, in milliseconds since 1970.
    time_ms: int
    value: bytes | None

    @property
    def checksum(self) -> int:
        """Tells this record from another at the same offset of a topic made anew."""
        return crc32(self.value or b"")


class Checkpoint(NamedTuple):
    """How far a reader is in a partition, and the last record that it read there."""

    position: int
    last_offset: int
    last_checksum: int


class Reader(Protocol):
    """Whom the tail reads for. Its methods are called one at a time and must not block long."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Where the reader stands; partitions that it never read are absent."""

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes the next records, and the positions after them."""

    def reset(self) -> None:
        """Forgets everything: the log begins anew."""


class Tail:
    """Keeps the reader at the end of the log; assigns itself all partitions and has no group."""

    def __init__(
        self, settings: KafkaSettings, topic: str, partitions: int, reader: Reader
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._assignment = [TopicPartition(topic, number) for number in range(partitions)]
        self._broker = settings.broker
        self._reader = reader
        self._waiters: list[tuple[dict[int, int], asyncio.Future[None]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        #: The next offset to be read, by partition.
        self.positions = dict.fromkeys(range(partitions), 0)

    async def run(self) -> None:
        """Reads until cancelled. Raises `LogForgottenError` and `KafkaRefusedError`."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((KafkaError, _SilentError)),
            wait=wait_random_exponential(0.1, max=5),
            before_sleep=lambda state: log.warning(
                "the tail begins again: %r", state.outcome and state.outcome.exception()
            ),
        )
        async for attempt in retrying:
            with attempt:
                await self._restartable()

    def restart(self) -> None:
        """Makes a tail that has gone silent begin again where it stands."""
        if self._reading:
            self._reading.cancel()

    async def passed(self, positions: dict[int, int]) -> None:
        """Returns once the reader stands at or behind these positions."""
        if self._reached(positions):
            return
        waiter = asyncio.get_running_loop().create_future()
        entry = (positions, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    async def _restartable(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="read the log")
        try:
            await self._reading
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            raise _SilentError from None
        finally:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, KafkaError, KafkaRefusedError, LogForgottenError):
                await self._reading

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            enable_auto_commit=False,  # the position is the reader's, in its own transaction
            auto_offset_reset="none",  # an offset out of range must be seen, never skipped
            fetch_max_wait_ms=self._broker.fetch_max_wait_ms,
        )
        await start(consumer, self._settings)
        try:
            consumer.assign(self._assignment)
            with naming_denials(self._settings, "Read", self._topic):
                await self._resume(consumer)
                while True:
                    await self._poll(consumer)
        except OffsetOutOfRangeError as error:
            self._out_of_range(error)
            raise
        finally:
            await stopped(consumer.stop())

    async def _resume(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks to where the reader stands, if the log is still the one that it read."""
        checkpoints = self._reader.checkpoints()
        if not await self._unchanged(consumer, checkpoints):
            if not self._broker.keeps_log:
                raise LogForgottenError(_FORGOTTEN)
            log.warning("the log is not the one that was read before: everything is read anew")
            self._forget()
            checkpoints = {}
        first = await consumer.beginning_offsets(self._assignment)
        for partition in self._assignment:
            checkpoint = checkpoints.get(partition.partition)
            position = checkpoint.position if checkpoint else first[partition]
            consumer.seek(partition, position)
            self.positions[partition.partition] = position
        self._wake()

    async def _unchanged(
        self, consumer: AIOKafkaConsumer, checkpoints: dict[int, Checkpoint]
    ) -> bool:
        """Whether the last record that was read in each partition still stands where it stood."""
        read = [tp for tp in self._assignment if tp.partition in checkpoints]
        if len(read) < len(checkpoints):
            return False
        first = await consumer.beginning_offsets(read)
        end = await consumer.end_offsets(read)
        for partition in read:
            at = checkpoints[partition.partition]
            if not (first[partition] <= at.last_offset and at.position <= end[partition]):
                return False
            consumer.seek(partition, at.last_offset)
        for partition in read:
            at = checkpoints[partition.partition]
            last = await consumer.getone(partition)
            if last.offset != at.last_offset or crc32(last.value or b"") != at.last_checksum:
                return False
        return True

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
        positions = {tp.partition: batch[-1].offset + 1 for tp, batch in fetched.items()}
        now = time.monotonic()
        if not fetched or now - self._looked_at > POLL_MS / 1000:
            # A position passes records that are never handed out; the last record's offset doesn't.
            self._looked_at = now
            positions = {tp.partition: await consumer.position(tp) for tp in self._assignment}
        records = [
            Record(partition.partition, record.offset, record.timestamp, record.value)
            for partition, batch in fetched.items()
            for record in batch
        ]
        positions = self.positions | positions
        if records or positions != self.positions:
            self._reader.apply(records, positions)
            self.positions = positions
            self._wake()

    def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        if not self._broker.keeps_log:
            raise LogForgottenError(_FORGOTTEN) from error
        log.warning("the log no longer has what was to be read next: %r", error)
        self._forget()

    def _forget(self) -> None:
        self._reader.reset()
        self.positions = dict.fromkeys(self.positions, 0)

    def _reached(self, positions: dict[int, int]) -> bool:
        return all(self.positions[number] >= offset for number, offset in positions.items())

    def _wake(self) -> None:
        waiting = []
        for positions, waiter in self._waiters:
            if self._reached(positions):
                if not waiter.done():
                    waiter.set_result(None)
            else:
                waiting.append((positions, waiter))
        self._waiters = waiting


class _SilentError(Exception):
    """The tail was told to begin again."""


_FORGOTTEN = (
    "The embedded broker dropped records: it keeps about 5 MB a partition. Start again, or use a "
    "Kafka by setting FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS."
)
