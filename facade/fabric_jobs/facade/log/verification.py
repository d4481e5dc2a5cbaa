"""Compares a topic with what was read of it, because records may be lost or the topic replaced."""

from collections.abc import Mapping, Sequence
from enum import Enum

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection

from fabric_jobs.facade.log.reader import Checkpoint, checksum


def leader_connection(
    consumer: AIOKafkaConsumer, partition: TopicPartition
) -> AIOKafkaConnection | None:
    """Returns the consumer's connection to the partition's leader; None if it has none.

    Brokers lose records of a partition only when its leader changes or restarts, and both change
    the connection. The consumer may notice nothing else of the loss: if it was ahead of the new
    end, and the partition grows beyond its position before the next fetch, it never gets the
    records that took the place of the lost ones. aiokafka sends no leader epoch, by which the
    broker would notice.
    """
    client = consumer._client
    leader = client.cluster.leader_for_partition(partition)
    return client._conns.get((leader, ConnectionGroup.DEFAULT))


class Comparison(Enum):
    """What became of the records that were read."""

    #: Each partition still has the record that was read last.
    SAME = "same"
    #: A partition no longer has the record that was read last, because it was deleted by age or by
    #: compaction.
    DROPPED = "dropped"
    #: A partition ends before the record that was read last, or has another one in its place. The
    #: brokers lost records, or the topic was deleted and created again.
    LOST = "lost"


async def compare(
    consumer: AIOKafkaConsumer,
    assignment: Sequence[TopicPartition],
    checkpoints: Mapping[int, Checkpoint],
) -> Comparison:
    """Compares the last record that was read of each partition with the topic.

    It moves the consumer's positions.
    """
    read = [partition for partition in assignment if partition.partition in checkpoints]
    if len(read) < len(checkpoints):
        return Comparison.LOST
    first = await consumer.beginning_offsets(read)
    end = await consumer.end_offsets(read)
    kept, dropped = [], False
    for partition in read:
        checkpoint = checkpoints[partition.partition]
        if checkpoint.position > end[partition]:
            return Comparison.LOST
        if first[partition] <= checkpoint.last_offset:
            consumer.seek(partition, checkpoint.last_offset)
            kept.append(partition)
        else:
            dropped = True
    for partition in kept:
        checkpoint = checkpoints[partition.partition]
        last = await consumer.getone(partition)
        if last.offset != checkpoint.last_offset:
            dropped = True
        elif checksum(last.value) != checkpoint.last_checksum:
            return Comparison.LOST
    return Comparison.DROPPED if dropped else Comparison.SAME
