"""A job's events, read from the topic as any subscriber reads them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from cli.errors import InputError
from cli.status import StatusApi
from fabric_jobs.events import Event, NotAnEventError, decode
from fabric_jobs.jobs import JobPhase
from fabric_jobs.kafka import KafkaRefusedError, client_arguments, naming_denials, start, stopped
from fabric_jobs.settings import KafkaSettings, SettingsError
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds that Kafka may be silent.
ANSWER_S = 10.0
#: A facade's clock may be so far from the broker's, and a bit: where reading begins.
CLOCKS = timedelta(seconds=60)


class Logged(NamedTuple):
    """An event of the job, where it stands, and whether it is one that made the job what it is."""

    record: ConsumerRecord
    event: Event
    #: A duplicate or the loser of a race is not.
    applied: bool


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


async def logged_events(
    address: str, settings: KafkaSettings, job_id: str, *, lost_too: bool
) -> list[Logged]:
    """The events that made the job what it is now; those that did not, too, where asked for.

    Raises `StatusApiError`, and `InputError` where Kafka or the events can't be had.
    """
    async with StatusApi(address) as api:
        got = await api.get(job_id)
    job, found = NumberedJob(), list[Logged]()
    async with _consumer(settings) as consumer:
        await _begin(consumer, settings, got)
        async with aclosing(_records(consumer, got.position.offset)) as records:
            async for record in records:
                if record.key != got.job.job_id.encode():
                    continue
                with suppress(NotAnEventError):
                    event = decode(record.value)
                    applied = job.takes(event)
                    if applied or lost_too:
                        found.append(Logged(record, event, applied))
                if job.sequence == got.job.sequence and not lost_too:
                    break
    if job.sequence < got.job.sequence:
        raise InputError(
            f"{settings.events_topic} no longer holds the job's first events. "
            "`fabric-jobs jobs get` shows what came of them."
        )
    return found


@asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    # What it has to say of a broker that is away is said by the error.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    servers = settings.kafka_bootstrap_servers
    try:
        consumer = AIOKafkaConsumer(**client_arguments(settings), auto_offset_reset="none")
    except SettingsError as error:
        raise InputError(str(error)) from error
    try:
        with naming_denials(settings, "Read", settings.events_topic):
            await asyncio.wait_for(start(consumer, settings), ANSWER_S)
            yield consumer
    except KafkaRefusedError as error:
        raise InputError(str(error)) from error
    except (KafkaError, TimeoutError) as error:
        raise InputError(
            f"Kafka at {servers} gave no answer ({type(error).__name__}). Name the facade's Kafka "
            "with --kafka; `fabric-jobs dev` says its own in its first line."
        ) from error
    finally:
        await stopped(consumer.stop())


async def _begin(
    consumer: AIOKafkaConsumer, settings: KafkaSettings, got: pb.GetJobResponse
) -> None:
    """Takes up the job's partition, at or before the job's first event."""
    partition = TopicPartition(settings.events_topic, got.position.partition)
    # Asked for first: to name a topic that is not there may make it.
    there = partition.topic in await asyncio.wait_for(consumer.topics(), ANSWER_S)
    if there:
        consumer.assign([partition])
        ends = await asyncio.wait_for(consumer.end_offsets([partition]), ANSWER_S)
    if not there or ends[partition] < got.position.offset:
        raise InputError(
            f"Kafka at {settings.kafka_bootstrap_servers} has no topic {partition.topic} with this "
            "job: the facade uses another, or this user of Kafka may not Read it. Name the "
            "facade's Kafka with --kafka, its topic with FABRIC_JOBS_EVENTS_TOPIC."
        )
    since = got.job.create_time.ToDatetime(UTC) - CLOCKS
    asked = consumer.offsets_for_times({partition: int(since.timestamp() * 1000)})
    first = (await asyncio.wait_for(asked, ANSWER_S))[partition]
    if first:
        consumer.seek(partition, first.offset)
    else:  # the embedded broker knows no times
        await asyncio.wait_for(consumer.seek_to_beginning(partition), ANSWER_S)


async def _records(consumer: AIOKafkaConsumer, end: int) -> AsyncGenerator[ConsumerRecord, None]:
    """The records of the one partition, up to that offset."""
    (partition,) = consumer.assignment()
    while (position := await consumer.position(partition)) < end:
        polled = await consumer.getmany(partition, timeout_ms=int(ANSWER_S * 1000))
        for record in polled.get(partition, ()):
            yield record
        if await consumer.position(partition) == position:
            raise TimeoutError
