"""Reads a sample of a topic: the oldest and the newest records of each partition."""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.runtime.kafka.clients import (
    STOP_TIMEOUT_S,
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_within,
)
from fabric_jobs.runtime.settings import KafkaSettings

#: How many records are read from the beginnings of all partitions together, and from their ends.
OLDEST = 100
NEWEST = 400


async def read_sample(
    settings: KafkaSettings, topic: str, partitions: int
) -> AsyncIterator[ConsumerRecord]:
    """Yields records of the topic, which has so many partitions; each record once.

    Raises `KafkaRefusedError` if an ACL is missing, and aiokafka's errors.
    """
    consumer = AIOKafkaConsumer(
        **client_arguments(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        with map_authorization_errors(settings, "Read", topic):
            await connect_client(consumer, settings)
            assignment = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(assignment)
            begins = await consumer.beginning_offsets(assignment)
            ends = await consumer.end_offsets(assignment)
            for partition in assignment:
                begin, end = begins[partition], ends[partition]
                middle = max(begin, end - max(1, NEWEST // partitions))
                oldest_end = min(middle, begin + max(1, OLDEST // partitions))
                for start, stop in ((begin, oldest_end), (middle, end)):
                    async for record in _read(consumer, partition, start, stop):
                        yield record
    finally:
        await stop_within(STOP_TIMEOUT_S, consumer.stop())


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, stop: int
) -> AsyncIterator[ConsumerRecord]:
    """Yields the records of the partition from offset `start` to before `stop`."""
    if start == stop:
        return
    consumer.seek(partition, start)
    while await consumer.position(partition) < stop:
        fetched = await consumer.getmany(partition, timeout_ms=500, max_records=stop - start)
        for record in fetched.get(partition, []):
            if record.offset < stop:
                yield record
