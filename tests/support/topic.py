"""Reads and writes the topic of job events without a facade."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract import events
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.support.brokers import SERVERS
from tests.support.programs import PARTITIONS, new_id


class Topic:
    """All records of a topic, including those that lost a race."""

    def __init__(self, consumer: AIOKafkaConsumer, name: str) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
        consumer.assign(self._partitions)

    async def ends(self) -> dict[int, int]:
        """The end offset of each partition."""
        found = await self._consumer.end_offsets(self._partitions)
        return {partition.partition: end for partition, end in found.items()}

    async def records(self) -> list[ConsumerRecord]:
        """All records up to now."""
        ends = await self.ends()
        found: list[ConsumerRecord] = []
        for partition in self._partitions:
            self._consumer.seek(partition, 0)
        async with asyncio.timeout(20):
            while [p for p in self._partitions if await self._behind(p, ends)]:
                batches = await self._consumer.getmany(timeout_ms=200)
                found += [record for one in batches.values() for record in one]
        return found

    async def events_of(self, job_id: str) -> list[events.Event]:
        """The job's events up to now."""
        found = [events.decode_record(record.key, record.value) for record in await self.records()]
        return [event for event in found if event.subject == job_id]

    async def _behind(self, partition: TopicPartition, ends: dict[int, int]) -> bool:
        position: int = await self._consumer.position(partition)
        return position < ends[partition.partition]


async def create_topics(
    servers: str, events_topic: str, heartbeats_topic: str, controls_topic: str
) -> None:
    """Create the topics as a facade that may create them does at its start."""
    settings = FacadeSettings(
        kafka_bootstrap_servers=servers,
        events_topic=events_topic,
        heartbeats_topic=heartbeats_topic,
        controls_topic=controls_topic,
        events_partitions=PARTITIONS,
        create_topics=True,
    )
    for make_spec in (topics.events, topics.heartbeats, topics.controls):
        await Log(settings, make_spec(settings)).connect()


@asynccontextmanager
async def topic_of(environment: dict[str, str]) -> AsyncIterator[Topic]:
    """The topic in these settings."""
    consumer = AIOKafkaConsumer(bootstrap_servers=environment[SERVERS])
    await consumer.start()
    try:
        yield Topic(consumer, environment["FABRIC_JOBS_EVENTS_TOPIC"])
    finally:
        await consumer.stop()


async def put(environment: dict[str, str], *records: events.Event) -> None:
    """Append events, as a replica of another version may."""
    producer = AIOKafkaProducer(bootstrap_servers=environment[SERVERS])
    await producer.start()
    try:
        for event in records:
            await producer.send_and_wait(
                environment["FABRIC_JOBS_EVENTS_TOPIC"],
                events.encode(event),
                key=event.subject.encode(),
                partition=partition_of(event.subject, PARTITIONS),
            )
    finally:
        await producer.stop()


def beside(job_id: str) -> str:
    """The id of another job in the same partition, whose records come after the first job's."""
    other = new_id()
    while partition_of(other, PARTITIONS) != partition_of(job_id, PARTITIONS):
        other = new_id()
    return other
