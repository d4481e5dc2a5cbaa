"""Verifies that a topic is the one that was read: it may have been deleted and created again."""

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from fabric_jobs.facade.log.reader import Checkpoint, checksum


async def is_same_log(
    consumer: AIOKafkaConsumer,
    assignment: Sequence[TopicPartition],
    checkpoints: Mapping[int, Checkpoint],
) -> bool:
    """Whether the topic still has, in each partition, the record that was read last.

    It moves the consumer's positions.
    """
    read = [partition for partition in assignment if partition.partition in checkpoints]
    if len(read) < len(checkpoints):
        return False
    first = await consumer.beginning_offsets(read)
    end = await consumer.end_offsets(read)
    for partition in read:
        checkpoint = checkpoints[partition.partition]
        has_record = first[partition] <= checkpoint.last_offset
        if not (has_record and checkpoint.position <= end[partition]):
            return False
        consumer.seek(partition, checkpoint.last_offset)
    for partition in read:
        checkpoint = checkpoints[partition.partition]
        last = await consumer.getone(partition)
        found = (last.offset, checksum(last.value))
        if found != (checkpoint.last_offset, checkpoint.last_checksum):
            return False
    return True
