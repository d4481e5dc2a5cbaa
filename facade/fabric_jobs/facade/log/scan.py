"""Reads a topic once, from a time on, for checks that look at every record."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log.clients import open_admin_client
from fabric_jobs.runtime.kafka.clients import (
    STOP_TIMEOUT_S,
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_within,
)
from fabric_jobs.runtime.settings import KafkaSettings

POLL_MS = 500
MAX_POLL_RECORDS = 2000


async def scan_topic(
    settings: KafkaSettings, topic: str, since: datetime
) -> AsyncGenerator[tuple[Sequence[ConsumerRecord], int], None]:
    """Yields the records of an existing topic from this time on, up to its end at the call.

    Each batch comes with the number of records that are left to read. Raises `KafkaRefusedError`,
    and `LogError`, `KafkaError` or `TimeoutError` if Kafka does not answer.
    """
    async with open_admin_client(settings) as admin:
        (description,) = await admin.describe_topics([topic])
    partitions = [TopicPartition(topic, each["partition"]) for each in description["partitions"]]
    consumer = AIOKafkaConsumer(**client_arguments(settings), auto_offset_reset="none")
    try:
        with map_authorization_errors(settings, "Read", topic):
            await connect_client(consumer, settings)
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await _seek(consumer, ends, since, settings)
            while left := await _count_left(consumer, ends):
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_POLL_RECORDS)
                left = await _count_left(consumer, ends)
                yield [record for records in batches.values() for record in records], left
    finally:
        await stop_within(STOP_TIMEOUT_S, consumer.stop())


async def _seek(
    consumer: AIOKafkaConsumer,
    ends: dict[TopicPartition, int],
    since: datetime,
    settings: KafkaSettings,
) -> None:
    if not settings.broker.record_time:
        await consumer.seek_to_beginning(*ends)
        return
    since_ms = int(since.timestamp() * 1000)
    first = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
    for partition, end in ends.items():
        consumer.seek(partition, first[partition].offset if first[partition] else end)


async def _count_left(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> int:
    """The number of records between the consumer's positions and these ends."""
    return sum([max(0, end - await consumer.position(each)) for each, end in ends.items()])
