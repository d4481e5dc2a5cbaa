"""Compares a topic with what was read of it, because records may be lost or the topic replaced."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

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


class Comparison(NamedTuple):
    """The partitions that no longer have the record that was read last; both empty if all have."""

    #: By partition, the first offset from which records that were read are lost for certain: the
    #: partition ends there, or has another record there. The brokers lost records, or the topic was
    #: deleted and created again.
    lost: Mapping[int, int]
    #: The partitions whose record was deleted by age or by compaction.
    dropped: Collection[int]

    @property
    def is_same(self) -> bool:
        """Whether each partition still has the record that was read last."""
        return not self.lost and not self.dropped


async def compare(
    consumer: AIOKafkaConsumer,
    assignment: Sequence[TopicPartition],
    checkpoints: Mapping[int, Checkpoint],
) -> Comparison:
    """Compares the last record that was read of each partition with the topic.

    It moves the consumer's positions.
    """
    read = [partition for partition in assignment if partition.partition in checkpoints]
    # The topic may have fewer partitions than were read.
    lost = dict.fromkeys(checkpoints.keys() - {partition.partition for partition in read}, 0)
    dropped = set[int]()
    first = await consumer.beginning_offsets(read)
    end = await consumer.end_offsets(read)
    kept = []
    for partition in read:
        checkpoint = checkpoints[partition.partition]
        if checkpoint.position > end[partition]:
            lost[partition.partition] = end[partition]
        elif first[partition] <= checkpoint.last_offset:
            consumer.seek(partition, checkpoint.last_offset)
            kept.append(partition)
        else:
            dropped.add(partition.partition)
    for partition in kept:
        checkpoint = checkpoints[partition.partition]
        last = await consumer.getone(partition)
        if last.offset != checkpoint.last_offset:
            dropped.add(partition.partition)
        elif checksum(last.value) != checkpoint.last_checksum:
            lost[partition.partition] = checkpoint.last_offset
    return Comparison(lost, dropped)
