"""The tail: reads all records of the topic into one reader, each partition in order."""

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from fabric_jobs.facade.log.acknowledged import AppendedRecord, Unfetched
from fabric_jobs.facade.log.beginning import find_beginning
from fabric_jobs.facade.log.codes import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.errors import LogDataLossError
from fabric_jobs.facade.log.inspection import Inspection
from fabric_jobs.facade.log.reader import Reader, Record
from fabric_jobs.facade.log.verification import Verification
from fabric_jobs.runtime.kafka.clients import (
    KafkaRefusedError,
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_client,
)
from fabric_jobs.runtime.settings import KafkaSettings

log = logging.getLogger("fabric_jobs.log")

#: Milliseconds that one poll waits for records.
POLL_MS = 200
#: Seconds without a poll, or without the log's end, after which the topic may be another one. Then
#: the tail verifies that the topic still holds what was read, before it applies more records.
GAP_S = 5.0
#: Records that are given to the reader at a time: few enough to keep the event loop responsive.
MAX_BATCH_RECORDS = 500


class Tail:
    """Keeps one reader at the end of the log. It assigns itself all partitions and has no group."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        partitions: int,
        reader: Reader,
        codes: RecordCodes | None = None,
        max_age_ms: int | None = None,
    ) -> None:
        """`max_age_ms` is the age of the oldest record that a reader without positions needs."""
        self._settings = settings
        self._topic = topic
        self._assignment = [TopicPartition(topic, number) for number in range(partitions)]
        self._broker = settings.broker
        self._max_age_ms = max_age_ms if self._broker.record_time else None
        self._reader = reader
        self._inspection = Inspection(topic, codes)
        self._waiters: list[tuple[dict[int, int], asyncio.Future[None]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._positions_at = float("-inf")
        self._polled_at = float("-inf")
        self._must_verify = False
        self._must_begin_again = False
        #: Whether the consumer continues at the reader's positions, so that records may be applied.
        self._is_reading = False
        #: Whether a poll has succeeded since the last restart.
        self._has_polled = False
        #: The error of the reader at acknowledged records; `run` raises it.
        self._reader_error: Exception | None = None
        #: The records that Kafka has acknowledged since the last look at them.
        self._acknowledged: list[AppendedRecord] = []
        self._unfetched = Unfetched()
        self._verification = Verification(topic, self._assignment, reader, self._unfetched)
        #: Rises each time the log is read from its beginning again.
        self.generation = 0
        #: The next offset to read, by partition.
        self.positions = dict.fromkeys(range(partitions), 0)

    @property
    def code_counts(self) -> Counter[CodeVerdict]:
        """The number of records read so far, by what their codes showed; empty without a ring."""
        return self._inspection.counts

    @property
    def lost_records(self) -> int:
        """The number of losses of records that were acknowledged by Kafka or read before."""
        return self._verification.lost_records

    async def run(self) -> None:
        """Reads until it is cancelled, and begins again after errors of Kafka's.

        The wait before a restart grows only while no poll succeeds between two restarts.

        Raises `LogDataLossError` if the embedded broker dropped records, `KafkaRefusedError` if
        Kafka refuses, and what the reader raises.
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
                self._has_polled = False
                try:
                    await self._read_until_restarted()
                finally:
                    if self._has_polled:
                        attempt.retry_state.attempt_number = 1

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

    def acknowledge(self, record: AppendedRecord) -> None:
        """Takes a record of this process that Kafka has acknowledged.

        It is applied at once if it is the next record of its partition. Otherwise the records
        before it are not read yet, and all of them come with the fetch. So do the records of a
        broker without a time of its own, which acknowledges another time than it fetches.
        """
        if not self._broker.record_time:
            return
        if not self._acknowledged:
            # One answer of Kafka's acknowledges records of several appends: they are applied
            # together.
            asyncio.get_running_loop().call_soon(self._apply_acknowledged)
        self._acknowledged.append(record)

    def _apply_acknowledged(self) -> None:
        acknowledged, self._acknowledged = self._acknowledged, []
        if not self._is_reading or self._must_verify or time.monotonic() - self._polled_at > GAP_S:
            return
        records = list[Record]()
        positions = dict(self.positions)
        for record in acknowledged:
            if positions[record.partition] == record.offset and not self._unfetched.is_full:
                positions[record.partition] = record.offset + 1
                self._unfetched.add(record)
                records.append(self._inspection.inspect(record))
        if records:
            try:
                self._apply(records, positions)
            except Exception as error:
                # The event loop would only log it, because this is a callback.
                self._reader_error = error
                self.restart()

    async def wait_for(self, positions: dict[int, int]) -> None:
        """Returns once the reader has read everything before these positions (offsets)."""
        # The tail may begin again between the moment that it wakes the caller and this one.
        while not self._has_reached(positions):
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
            raise self._reader_error or _RestartedError from None
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
        try:
            await connect_client(consumer, self._settings)
            consumer.assign(self._assignment)
            with map_authorization_errors(self._settings, "Read", self._topic):
                await self._resume(consumer)
                self._is_reading = True
                while True:
                    await self._poll(consumer)
                    self._has_polled = True
                    # A poll does not wait if the consumer has fetched records ahead.
                    await asyncio.sleep(0)
        except OffsetOutOfRangeError as error:
            if not self._broker.keeps_log:
                raise LogDataLossError(_DATA_LOSS) from error
            # A broker that lost its power may answer so before it knows that another one leads the
            # partition. `_resume` compares the topic with what was read. A reader that keeps no
            # positions can't be compared, so it is reset.
            self._must_begin_again |= not self._reader.checkpoints()
            raise
        finally:
            self._is_reading = False
            await stop_client(consumer)

    async def _resume(self, consumer: AIOKafkaConsumer) -> None:
        """Seeks to the reader's checkpoints, or to the beginning if the log is another one."""
        checkpoints = self._reader.checkpoints()
        # This request goes to every leader, so it also opens the connections that fetches use.
        first = await consumer.beginning_offsets(self._assignment)
        beginning = await find_beginning(consumer, first, self._max_age_ms)
        found = await self._verification.compare_all(consumer)
        if not found.is_same and not self._broker.keeps_log:
            raise LogDataLossError(_DATA_LOSS)
        self._verification.report(found)
        if not found.is_same or self._must_begin_again:
            self._begin_again()
            checkpoints = {}
        self._must_verify = False
        self._polled_at = time.monotonic()
        for partition in self._assignment:
            checkpoint = checkpoints.get(partition.partition)
            position = checkpoint.position if checkpoint else beginning[partition]
            self.positions[partition.partition] = position
            if checkpoint is None:
                # A reader that keeps no position gets all records again.
                self._unfetched.forget(partition.partition)
            self._seek(consumer, partition, first[partition])
        self._wake()

    def _seek(self, consumer: AIOKafkaConsumer, partition: TopicPartition, first: int = 0) -> None:
        """Seeks to the first record of the partition that no fetch has brought yet.

        The tail compares it if it was applied when Kafka acknowledged it. `first` is the offset
        before which the topic has no records.
        """
        unfetched = self._unfetched.first(partition.partition)
        position = self.positions[partition.partition]
        consumer.seek(partition, max(first, unfetched.offset if unfetched else position))

    async def _verify_leaders(
        self, consumer: AIOKafkaConsumer, fetched: dict[TopicPartition, list[ConsumerRecord]]
    ) -> None:
        """Verifies the partitions that have another leader or another connection to it.

        Removes the records of these partitions from `fetched`, so that they are fetched again. The
        brokers may have lost records that this tail has read, and the fetch may have skipped the
        records in their place.
        """
        changed = self._verification.find_changed_leaders(consumer)
        if not await self._verification.holds(consumer, changed):
            raise _RestartedError  # `_resume` compares again, and reports what it finds
        for partition in changed:
            fetched.pop(partition, None)
            self._seek(consumer, partition)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        """Gives the next records to the reader, and wakes those who wait for their positions."""
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_BATCH_RECORDS)
        now = time.monotonic()
        if now - self._polled_at > GAP_S:
            self._must_verify = True
        self._polled_at = now
        if fetched and self._must_verify:
            raise _RestartedError
        await self._verify_leaders(consumer, fetched)
        positions = {tp.partition: batch[-1].offset + 1 for tp, batch in fetched.items()}
        if not fetched or now - self._positions_at > POLL_MS / 1000:
            # Some offsets hold no record for a consumer, such as a transaction's end. Only the
            # consumer's own position passes them.
            self._positions_at = now
            positions = {tp.partition: await consumer.position(tp) for tp in self._assignment}
        records = [
            self._inspection.inspect(record)
            for batch in fetched.values()
            for record in batch
            if not self._was_applied(record)
        ]
        self._verification.note_fetched(fetched)
        # A partition's position is ahead of the consumer's by the records that were applied when
        # Kafka acknowledged them.
        positions = self.positions | {
            number: position
            for number, position in positions.items()
            if position > self.positions[number]
        }
        if records or positions != self.positions:
            self._apply(records, positions)

    def _was_applied(self, record: ConsumerRecord) -> bool:
        """Whether the fetched record was applied when Kafka acknowledged it.

        If another record was applied in its place, the tail begins again.
        """
        if record.offset >= self.positions[record.partition]:
            return False
        if lost := self._unfetched.take_lost(record.partition, record.offset, record.value):
            self._verification.report_lost(record.partition, lost)
            self._begin_again()
            raise _RestartedError
        return True

    def _apply(self, records: list[Record], positions: dict[int, int]) -> None:
        """Gives the records to the reader, and wakes those who wait for their positions."""
        self._inspection.log_refused(records)
        self._reader.apply(records, positions)
        self.positions = positions
        self._wake()

    def _begin_again(self) -> None:
        # The reader may fail in the middle, and is incomplete from here on.
        self.generation += 1
        self._reader.reset()
        self._unfetched.clear()
        self._verification.forget_fetched()
        self._must_begin_again = False
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
    """The reading ended, and continues with a new consumer that compares the topic first."""


_DATA_LOSS = (
    "The embedded broker dropped records, because it keeps about 5 MB for each partition. Start "
    "again, or set FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS to use Apache Kafka."
)
