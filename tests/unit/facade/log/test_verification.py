"""The comparison of a topic with what was read of it."""

from collections.abc import Mapping
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from fabric_jobs.facade.log.reader import Checkpoint, checksum
from fabric_jobs.facade.log.verification import Comparison, compare
from tests.support.topic_kit import Partition, TopicConsumer

#: What was read of a partition: the records up to offset 2.
READ = Checkpoint(position=3, last_offset=2, last_checksum=checksum(b"c"))
UNCHANGED = Partition({0: b"a", 1: b"b", 2: b"c"}, 3)
CUT = Partition({0: b"a", 1: b"b"}, 2)
CHANGED = Partition({0: b"a", 1: b"b", 2: b"x", 3: b"y"}, 4)
DELETED = Partition({3: b"d"}, 4)


async def compare_partitions(
    partitions: Mapping[int, Partition], checkpoints: Mapping[int, Checkpoint]
) -> Comparison:
    """Compares what was read with a topic of these partitions."""
    assignment = [TopicPartition("topic", number) for number in partitions]
    consumer = cast(AIOKafkaConsumer, TopicConsumer(partitions))
    return await compare(consumer, assignment, checkpoints)


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        (UNCHANGED, Comparison({}, set())),
        (Partition({2: b"c", 3: b"d"}, 4), Comparison({}, set())),
        (DELETED, Comparison({}, {0})),
        (Partition({}, 3), Comparison({}, {0})),
        (Partition({0: b"a", 3: b"d"}, 4), Comparison({}, {0})),
        (CUT, Comparison({0: 2}, set())),
        (Partition({}, 0), Comparison({0: 0}, set())),
        (CHANGED, Comparison({0: 2}, set())),
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
    partition: Partition, expected: Comparison
) -> None:
    """Kafka itself raises the same error for both, or none."""
    assert await compare_partitions({0: partition}, {0: READ}) == expected


async def test_compare_of_several_partitions_names_each_that_lacks_its_last_record() -> None:
    """A partition that lost records does not end the comparison of the others."""
    partitions = dict(enumerate((CUT, UNCHANGED, CHANGED, DELETED, UNCHANGED)))

    found = await compare_partitions(partitions, dict.fromkeys(range(4), READ))

    assert found == Comparison({0: 2, 2: 2}, {3})


async def test_compare_of_a_topic_with_fewer_partitions_than_were_read_is_a_loss() -> None:
    """The topic was made anew with another number of partitions."""
    found = await compare_partitions({0: UNCHANGED}, {0: READ, 2: READ})

    assert found == Comparison({2: 0}, set())
