"""A job's events, read from the topic as any subscriber reads them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract.events import Event, NotAnEventError, decode
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.runtime.kafka.clients import client_arguments, naming_denials, start, stopped
from fabric_jobs.runtime.settings import KafkaSettings

#: Seconds that Kafka may be silent.
ANSWER_S = 10.0
#: Records that are looked through at a time.
BATCH = 500
#: A facade's clock may be so far from the broker's, and a bit: where reading begins.
CLOCKS = timedelta(seconds=60)


class NoSuchLogError(Exception):
    """The topic is not there, or ends before the job."""


class Logged(NamedTuple):
    """An event of the job, where it stands, and whether it is one that made the job what it is."""

    record: ConsumerRecord
    event: Event
    #: A duplicate or the loser of a race is not.
    applied: bool


class EventBatch(NamedTuple):
    """Records that were looked through: how many, and the job's events among them."""

    records: int
    events: list[Logged]


class NumberedJob:
    """The rule of the topic: one number a job, and an event counts if its sequence is the next."""

    def __init__(self) -> None:
        self.sequence = 0
        self._final = False

    def takes(self, event: Event) -> bool:
        """Whether the event is the job's next one."""
        takes = not self._final and event.data.sequence == self.sequence + 1
        if takes:
            self.sequence = event.data.sequence
            self._final = event.data.state.phase is JobPhase.ENDED
        return takes


async def history(
    settings: KafkaSettings, job_id: str, created: datetime, partition: int, end: int
) -> AsyncGenerator[EventBatch, None]:
    """The job's events before the offset `end` of its partition, batch by batch.

    Raises `NoSuchLogError`, `SettingsError`, `KafkaRefusedError`, and `KafkaError` or
    `TimeoutError` where Kafka gives no answer.
    """
    job = NumberedJob()
    async with _consumer(settings) as consumer:
        await _begin(consumer, TopicPartition(settings.events_topic, partition), created, end)
        async with aclosing(_batches(consumer, end)) as batches:
            async for batch in batches:
                found = list[Logged]()
                for record in batch:
                    if record.key == job_id.encode():
                        with suppress(NotAnEventError):
                            event = decode(record.value)
                            found.append(Logged(record, event, job.takes(event)))
                yield EventBatch(len(batch), found)


@asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**client_arguments(settings), auto_offset_reset="none")
    try:
        with naming_denials(settings, "Read", settings.events_topic):
            await asyncio.wait_for(start(consumer, settings), ANSWER_S)
            yield consumer
    finally:
        await stopped(consumer.stop())


async def _begin(
    consumer: AIOKafkaConsumer, partition: TopicPartition, created: datetime, end: int
) -> None:
    """Takes up the job's partition, at or before the job's first event."""
    # Asked for first: to name a topic that is not there may make it.
    there = partition.topic in await asyncio.wait_for(consumer.topics(), ANSWER_S)
    if there:
        consumer.assign([partition])
        ends = await asyncio.wait_for(consumer.end_offsets([partition]), ANSWER_S)
    if not there or ends[partition] < end:
        raise NoSuchLogError
    since_ms = int((created - CLOCKS).timestamp() * 1000)
    asked = consumer.offsets_for_times({partition: since_ms})
    first = (await asyncio.wait_for(asked, ANSWER_S))[partition]
    if first:
        consumer.seek(partition, first.offset)
    else:  # the embedded broker knows no times
        await asyncio.wait_for(consumer.seek_to_beginning(partition), ANSWER_S)


async def _batches(
    consumer: AIOKafkaConsumer, end: int
) -> AsyncGenerator[list[ConsumerRecord], None]:
    """The records of the one partition, up to that offset."""
    (partition,) = consumer.assignment()
    while (position := await consumer.position(partition)) < end:
        polled = await consumer.getmany(
            partition, timeout_ms=int(ANSWER_S * 1000), max_records=BATCH
        )
        yield polled.get(partition, [])
        if await consumer.position(partition) == position:
            raise TimeoutError
