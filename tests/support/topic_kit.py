"""aiokafka's consumer of a topic whose partitions have fixed records."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import NamedTuple

from aiokafka import TopicPartition


class Partition(NamedTuple):
    """The values of a partition by offset, and the offset where it ends."""

    values: Mapping[int, bytes]
    end: int


class TopicConsumer:
    """A consumer of these partitions, by number. It reads one record at a time."""

    def __init__(self, partitions: Mapping[int, Partition]) -> None:
        self._partitions = partitions
        self._positions = dict[int, int]()
        # No partition has a leader, so that a tail's connections stay the same.
        self._client = SimpleNamespace(cluster=self, _conns={})

    def leader_for_partition(self, _: TopicPartition) -> None:
        """No leader."""

    async def beginning_offsets(self, read: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: min(self._of(each).values, default=self._of(each).end) for each in read}

    async def end_offsets(self, read: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: self._of(each).end for each in read}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition.partition] = offset

    async def getone(self, partition: TopicPartition) -> SimpleNamespace:
        values, position = self._of(partition).values, self._positions[partition.partition]
        offset = min(each for each in values if each >= position)
        return SimpleNamespace(offset=offset, value=values[offset])

    def _of(self, partition: TopicPartition) -> Partition:
        return self._partitions[partition.partition]
