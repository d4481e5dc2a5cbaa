"""Where a reader begins that keeps no position."""

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition


async def find_beginning(
    consumer: AIOKafkaConsumer, first: Mapping[TopicPartition, int], max_age_ms: int | None
) -> Mapping[TopicPartition, int]:
    """Returns the offset of each partition's first record that is at most `max_age_ms` old.

    `first` has the partitions and the offset of the first record of each, which are returned
    without a `max_age_ms`. A broker keeps records for much longer than the topic's retention: it
    deletes whole segments, and writes one for up to a week.
    """
    if max_age_ms is None:
        return first
    # Before the look-up by time: in the other order a record that is appended between the two
    # requests would be skipped.
    ends = await consumer.end_offsets([*first])
    since_ms = int(time.time() * 1000) - max_age_ms
    found = await consumer.offsets_for_times(dict.fromkeys(first, since_ms))
    return {each: at.offset if (at := found[each]) else ends[each] for each in first}
