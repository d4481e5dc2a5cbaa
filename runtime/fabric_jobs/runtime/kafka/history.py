"""Reads the events of one job from the topic, as any subscriber can."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract.events import Event, NotAnEventError, decode_record
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.runtime.kafka.clients import (
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_client,
)
from fabric_jobs.runtime.settings import KafkaSettings

#: Seconds to wait for each answer of Kafka.
ANSWER_TIMEOUT_S = 10.0
MAX_BATCH_RECORDS = 500
#: A job's first record may carry a broker time that is this much before the job's create time.
#: Facades refuse to work when their clock is 30 s from the broker's.
CLOCK_TOLERANCE = timedelta(seconds=60)


class NoSuchLogError(Exception):
    """The topic does not exist, or it ends before the job's last event."""


class HistoryEvent(NamedTuple):
    """An event of the job, and the record that holds it."""

    record: ConsumerRecord
    event: Event
    #: Whether the event applied. A duplicate and the loser of a race did not.
    applied: bool


class EventBatch(NamedTuple):
    """The result of reading one batch of records."""

    #: The number of records read, of all jobs.
    records: int
    #: The events of the job among these records.
    events: list[HistoryEvent]


class JobSequence:
    """The subscriber's rule: an event applies if it follows the last event that applied."""

    def __init__(self) -> None:
        self.sequence = 0
        self._last_id: str | None = None
        self._final = False

    def accept(self, event: Event) -> bool:
        """Returns whether the event applies, and counts it if it does."""
        applies = (
            not self._final
            and event.data.sequence == self.sequence + 1
            and event.data.follows == self._last_id
        )
        if applies:
            self.sequence, self._last_id = event.data.sequence, event.id
            self._final = event.data.state.phase is JobPhase.ENDED
        return applies


async def read_history(
    settings: KafkaSettings,
    job_id: str,
    created: datetime,
    partition: int,
    end: int,
    accepts: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> AsyncGenerator[EventBatch, None]:
    """Yields the job's events before the offset `end` of its partition, batch by batch.

    `created` is the job's create time. A record that `accepts` refuses is skipped.
    Raises `NoSuchLogError`, `SettingsError`, `KafkaRefusedError`, and `KafkaError` or
    `TimeoutError` if Kafka does not answer.
    """
    sequence = JobSequence()
    async with _open_consumer(settings) as consumer:
        position = TopicPartition(settings.events_topic, partition)
        await _seek_to_first_event(consumer, position, created, end)
        async with aclosing(_read_batches(consumer, end)) as batches:
            async for batch in batches:
                events = list[HistoryEvent]()
                for record in batch:
                    if record.key == job_id.encode() and accepts(record):
                        with suppress(NotAnEventError):
                            event = decode_record(record.key, record.value)
                            events.append(HistoryEvent(record, event, sequence.accept(event)))
                yield EventBatch(len(batch), events)


@asynccontextmanager
async def _open_consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**client_arguments(settings), auto_offset_reset="none")
    try:
        with map_authorization_errors(settings, "Read", settings.events_topic):
            await asyncio.wait_for(connect_client(consumer, settings), ANSWER_TIMEOUT_S)
            yield consumer
    finally:
        await stop_client(consumer)


async def _seek_to_first_event(
    consumer: AIOKafkaConsumer, partition: TopicPartition, created: datetime, end: int
) -> None:
    """Assigns the job's partition and seeks to an offset at or before the job's first event."""
    # Checked first, because a request that names a missing topic may create it.
    exists = partition.topic in await asyncio.wait_for(consumer.topics(), ANSWER_TIMEOUT_S)
    if exists:
        consumer.assign([partition])
        ends = await asyncio.wait_for(consumer.end_offsets([partition]), ANSWER_TIMEOUT_S)
    if not exists or ends[partition] < end:
        raise NoSuchLogError
    since_ms = int((created - CLOCK_TOLERANCE).timestamp() * 1000)
    lookup = consumer.offsets_for_times({partition: since_ms})
    first = (await asyncio.wait_for(lookup, ANSWER_TIMEOUT_S))[partition]
    if first:
        consumer.seek(partition, first.offset)
    else:  # the embedded broker keeps no record times
        await asyncio.wait_for(consumer.seek_to_beginning(partition), ANSWER_TIMEOUT_S)


async def _read_batches(
    consumer: AIOKafkaConsumer, end: int
) -> AsyncGenerator[list[ConsumerRecord], None]:
    """Yields the records of the assigned partition before the offset `end`."""
    (partition,) = consumer.assignment()
    while (position := await consumer.position(partition)) < end:
        polled = await consumer.getmany(
            partition, timeout_ms=int(ANSWER_TIMEOUT_S * 1000), max_records=MAX_BATCH_RECORDS
        )
        yield polled.get(partition, [])
        if await consumer.position(partition) == position:
            raise TimeoutError
