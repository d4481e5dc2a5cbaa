"""The comparison of a topic with what was read of it."""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from fabric_jobs.facade.log.reader import Checkpoint, checksum
from fabric_jobs.facade.log.verification import Comparison, compare

ASSIGNMENT = [TopicPartition("topic", number) for number in (0, 1)]
#: What was read of partition 0: the records up to offset 2.
READ = {0: Checkpoint(position=3, last_offset=2, last_checksum=checksum(b"c"))}


class Topic:
    """A consumer of a topic whose partition 0 has these values by offset."""

    def __init__(self, values: Mapping[int, bytes], end: int) -> None:
        self._values = values
        self._end = end
        self._position = 0

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[Any, int]:
        return {each: min(self._values, default=self._end) for each in partitions}

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[Any, int]:
        return dict.fromkeys(partitions, self._end)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition == ASSIGNMENT[0]
        self._position = offset

    async def getone(self, partition: TopicPartition) -> SimpleNamespace:
        assert partition == ASSIGNMENT[0]
        offset = min(each for each in self._values if each >= self._position)
        return SimpleNamespace(offset=offset, value=self._values[offset])


@pytest.mark.parametrize(
    ("values", "end", "expected"),
    [
        ({0: b"a", 1: b"b", 2: b"c"}, 3, Comparison.SAME),
        ({2: b"c", 3: b"d"}, 4, Comparison.SAME),
        ({3: b"d"}, 4, Comparison.DROPPED),
        ({}, 3, Comparison.DROPPED),
        ({0: b"a", 3: b"d"}, 4, Comparison.DROPPED),
        ({0: b"a", 1: b"b"}, 2, Comparison.LOST),
        ({}, 0, Comparison.LOST),
        ({0: b"a", 1: b"b", 2: b"x", 3: b"y"}, 4, Comparison.LOST),
    ],
    ids=[
        "unchanged",
        "grown, and older records deleted",
        "deleted by age",
        "all deleted by age",
        "deleted by compaction",
        "cut",
        "made anew",
        "made anew, and grown",
    ],
)
async def test_compare_tells_lost_records_from_deleted_ones(
    values: Mapping[int, bytes], end: int, expected: Comparison
) -> None:
    """Kafka itself raises the same error for both, or none."""
    consumer = cast(AIOKafkaConsumer, Topic(values, end))

    assert await compare(consumer, ASSIGNMENT, READ) is expected


async def test_compare_of_a_topic_with_fewer_partitions_than_were_read_is_a_loss() -> None:
    """The topic was made anew with another number of partitions."""
    consumer = cast(AIOKafkaConsumer, Topic({0: b"a"}, 1))

    assert await compare(consumer, ASSIGNMENT, READ | {2: READ[0]}) is Comparison.LOST
