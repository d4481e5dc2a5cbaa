"""Reads a topic once, for checks: every record from a time on, or the oldest and the newest."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log.clients import open_admin_client
from fabric_jobs.runtime.kafka.clients import (
    client_arguments,
    connect_client,
    map_authorization_errors,
    stop_client,
)
from fabric_jobs.runtime.settings import KafkaSettings

POLL_MS = 500
MAX_POLL_RECORDS = 2000
#: How many records of a sample are read from the beginnings of all partitions together, and from
#: their ends.
OLDEST = 100
NEWEST = 400


async def scan_topic(
    settings: KafkaSettings, topic: str, since: datetime
) -> AsyncGenerator[tuple[Sequence[ConsumerRecord], int], None]:
    """Yields the records of an existing topic from this time on, up to its end at the call.

    Each batch comes with the number of records that are left to read. Raises `KafkaRefusedError`,
    and `LogError`, `KafkaError` or `TimeoutError` if Kafka does not answer.
    """
    async with open_admin_client(settings) as admin:
        (description,) = await admin.describe_topics([topic])
    partitions = [each["partition"] for each in description["partitions"]]
    async with _open_consumer(settings, topic, partitions) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        await _seek(consumer, ends, since, settings)
        while left := await _count_left(consumer, ends):
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_POLL_RECORDS)
            left = await _count_left(consumer, ends)
            yield [record for records in batches.values() for record in records], left


async def read_sample(
    settings: KafkaSettings, topic: str, partitions: int
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yields the oldest and the newest records of each of the topic's partitions, each once.

    `partitions` is their number. Raises `KafkaRefusedError` if an ACL is missing, and aiokafka's
    errors.
    """
    async with _open_consumer(settings, topic, range(partitions)) as consumer:
        begins = await consumer.beginning_offsets(consumer.assignment())
        for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
            begin = begins[partition]
            middle = max(begin, end - max(1, NEWEST // partitions))
            oldest_end = min(middle, begin + max(1, OLDEST // partitions))
            for start, stop in ((begin, oldest_end), (middle, end)):
                async for record in _read(consumer, partition, start, stop):
                    yield record


async def find_filled(
    settings: KafkaSettings, topic: str, partitions: Sequence[int]
) -> Sequence[int]:
    """Returns those of the topic's partitions that have records, in their order.

    Raises `KafkaRefusedError` if an ACL is missing, and aiokafka's errors.
    """
    async with _open_consumer(settings, topic, partitions) as consumer:
        begins = await consumer.beginning_offsets(consumer.assignment())
        ends = await consumer.end_offsets(consumer.assignment())
    return sorted(each.partition for each, end in ends.items() if begins[each] < end)


@asynccontextmanager
async def _open_consumer(
    settings: KafkaSettings, topic: str, partitions: Sequence[int]
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of these partitions. In its block, a missing ACL raises `KafkaRefusedError`."""
    consumer = AIOKafkaConsumer(
        **client_arguments(settings),
        enable_auto_commit=False,
        # If the topic has dropped the next record meanwhile, reading goes on at its oldest record.
        auto_offset_reset="earliest",
    )
    try:
        with map_authorization_errors(settings, "Read", topic):
            await connect_client(consumer, settings)
            consumer.assign([TopicPartition(topic, number) for number in partitions])
            yield consumer
    finally:
        await stop_client(consumer)


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


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, stop: int
) -> AsyncIterator[ConsumerRecord]:
    """Yields the records of the partition from offset `start` to before `stop`."""
    if start == stop:
        return
    consumer.seek(partition, start)
    while await consumer.position(partition) < stop:
        fetched = await consumer.getmany(partition, timeout_ms=POLL_MS, max_records=stop - start)
        for record in fetched.get(partition, []):
            if record.offset < stop:
                yield record
