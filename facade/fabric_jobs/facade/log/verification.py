"""Compares a topic with what was read of it, because records may be lost or the topic replaced."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log.acknowledged import Unfetched, UnfetchedRecord
from fabric_jobs.facade.log.reader import Checkpoint, Reader, checksum

log = logging.getLogger("fabric_jobs.log")


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


class Verification:
    """Verifies that the topic still holds what one reader has read, and reports what is lost."""

    def __init__(
        self,
        topic: str,
        assignment: Sequence[TopicPartition],
        reader: Reader,
        unfetched: Unfetched,
    ) -> None:
        """`unfetched` has the keys of lost records that were applied before they were fetched."""
        self._topic = topic
        self._assignment = assignment
        self._reader = reader
        self._unfetched = unfetched
        #: The last record that was fetched of each partition. The reader's own checkpoint may be
        #: ahead of it, at a record that was applied when Kafka acknowledged it.
        self._fetched: dict[int, Checkpoint] = {}
        #: The connection to each partition's leader when the partition was verified last.
        self._leaders: dict[TopicPartition, AIOKafkaConnection | None] = {}
        #: How often records were missed that Kafka had acknowledged or that were read before.
        self.lost_records = 0

    def note_fetched(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        """Notes the last record that was fetched of each partition."""
        for partition, batch in fetched.items():
            last = batch[-1]
            self._fetched[partition.partition] = Checkpoint(
                last.offset + 1, last.offset, checksum(last.value)
            )

    def forget_fetched(self) -> None:
        """Forgets what was fetched, because the log will be read from its beginning."""
        self._fetched.clear()

    async def compare_all(self, consumer: AIOKafkaConsumer) -> Comparison:
        """Compares all partitions, whoever leads them. It moves the consumer's positions."""
        self._leaders = {each: _leader_connection(consumer, each) for each in self._assignment}
        return await compare(consumer, self._assignment, self._last_fetched())

    def find_changed_leaders(
        self, consumer: AIOKafkaConsumer
    ) -> dict[TopicPartition, AIOKafkaConnection | None]:
        """Returns the partitions that have another leader, or another connection to their leader.

        The value is the connection to the leader; None if the consumer has no connection to it.
        """
        leaders = {each: _leader_connection(consumer, each) for each in self._assignment}
        return {each: one for each, one in leaders.items() if one != self._leaders[each]}

    async def holds(
        self,
        consumer: AIOKafkaConsumer,
        changed: Mapping[TopicPartition, AIOKafkaConnection | None],
    ) -> bool:
        """Whether the partitions with a changed leader still have what was read of them.

        It moves the consumer's positions.
        """
        # Without a connection nothing can be verified yet, and nothing new comes.
        connected = {each: leader for each, leader in changed.items() if leader is not None}
        if connected:
            last = self._last_fetched()
            numbers = last.keys() & {partition.partition for partition in connected}
            found = await compare(
                consumer, [*connected], {number: last[number] for number in numbers}
            )
            if not found.is_same:
                return False
        self._leaders.update(connected)
        return True

    def report(self, found: Comparison) -> None:
        """Logs and counts lost records. If records were dropped instead, logs only that."""
        if found.lost:
            self._report_all_lost(found.lost)
        elif found.dropped:
            log.warning("the topic %s has dropped records: all of it is read again", self._topic)

    def report_lost(self, partition: int, lost: UnfetchedRecord) -> None:
        """Logs and counts a lost record that was applied when Kafka acknowledged it."""
        self.lost_records += 1
        log.error(
            "the log is forked: the record of %s at partition %d offset %d, with the key %s, was "
            "acknowledged, and the brokers have lost it: all of the topic is read again",
            self._topic,
            partition,
            lost.offset,
            lost.key.decode("utf-8", "replace"),
        )

    def _report_all_lost(self, lost: Mapping[int, int]) -> None:
        """Reports that these partitions lack records that were read, each from its offset on."""
        unnamed = []
        for partition, offset in sorted(lost.items()):
            if record := self._unfetched.first(partition, offset):
                self.report_lost(partition, record)
            else:
                unnamed.append(f"partition {partition} offset {offset}")
        if unnamed:
            self.lost_records += 1
            log.error(
                "the log is forked: the topic %s lacks records that were read before, from %s on. "
                "The brokers have lost them, or the topic was deleted and created again: all of it "
                "is read again",
                self._topic,
                ", ".join(unnamed),
            )

    def _last_fetched(self) -> dict[int, Checkpoint]:
        """The last fetched record of each partition, with the reader's position.

        The position also counts the records that were applied when Kafka acknowledged them, so a
        partition that ends before it has lost one of these.
        """
        return {
            number: self._fetched.get(number, read)._replace(position=read.position)
            for number, read in self._reader.checkpoints().items()
        }


def _leader_connection(
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
