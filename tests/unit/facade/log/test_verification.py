"""The comparison of a topic with what was read of it."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from fabric_jobs.facade.log.acknowledged import AppendedRecord, Unfetched
from fabric_jobs.facade.log.reader import Checkpoint, Record, checksum
from fabric_jobs.facade.log.verification import Comparison, Verification, compare
from tests.support.log_kit import RecordingReader
from tests.support.partition_kit import TOPIC, Broker, Consumer
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


def consumer_of(ends: Mapping[int, int]) -> Any:
    """A consumer of a topic whose partitions have equal records up to these offsets."""
    return TopicConsumer(
        {
            number: Partition(dict.fromkeys(range(end), b"value"), end)
            for number, end in ends.items()
        }
    )


def verification_of(
    partitions: int, reader: RecordingReader, unfetched: Unfetched | None = None
) -> Verification:
    """Returns the verification of a topic with so many partitions."""
    assignment = [TopicPartition("t", number) for number in range(partitions)]
    return Verification("t", assignment, reader, unfetched or Unfetched())


async def test_partition_that_lost_an_acknowledged_record_is_the_only_one_that_the_log_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log line names the first acknowledged record that the partition lacks."""
    reader, unfetched = RecordingReader(), Unfetched()
    for partition in range(2):
        for offset in range(2):
            key = b"job %d" % (10 * partition + offset)
            unfetched.add(AppendedRecord("t", partition, offset, 0, key, b"value", ()))
        reader.apply([Record(partition, 1, 0, b"value")], {partition: 2})
    verification = verification_of(3, reader, unfetched)

    verification.report(await verification.compare_all(consumer_of({0: 2, 1: 1, 2: 0})))

    assert verification.lost_records == 1
    assert ["partition 1 offset 1, with the key job 11" in line for line in caplog.messages] == [
        True
    ]


async def test_partition_that_lost_a_fetched_record_is_named_without_a_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The reader knows the place of what it has read, and no key."""
    reader = RecordingReader()
    reader.apply([Record(partition=1, offset=3, time_ms=0, value=b"value")], {1: 4})
    verification = verification_of(2, reader)

    verification.report(await verification.compare_all(consumer_of({0: 5, 1: 2})))

    assert verification.lost_records == 1
    assert ["read before, from partition 1 offset 2 on" in line for line in caplog.messages] == [
        True
    ]


async def test_partition_without_a_connection_to_its_leader_is_verified_once_it_has_one() -> None:
    """Nothing can be verified before, and no new record comes before."""
    broker, reader = Broker(), RecordingReader()
    consumer: Any = Consumer(broker)
    reader.apply([Record(0, 0, 0, broker.append().value)], {0: 1})
    verification = verification_of(1, reader)
    assert (await verification.compare_all(consumer)).is_same
    broker.lose()

    # The number of the leader stands for the connection to it.
    new_leader, broker.leader = broker.leader, None  # type: ignore[assignment]
    changed = verification.find_changed_leaders(consumer)
    assert changed == {TOPIC: None}
    assert await verification.holds(consumer, changed)

    broker.leader = new_leader
    changed = verification.find_changed_leaders(consumer)
    assert changed == {TOPIC: new_leader}
    assert not await verification.holds(consumer, changed)


async def test_partition_that_was_never_read_holds_under_a_new_leader() -> None:
    """Nothing of it can be lost here."""
    broker = Broker()
    consumer: Any = Consumer(broker)
    verification = verification_of(1, RecordingReader())
    assert (await verification.compare_all(consumer)).is_same
    broker.leader += 1

    assert await verification.holds(consumer, verification.find_changed_leaders(consumer))
    assert verification.find_changed_leaders(consumer) == {}


@pytest.mark.parametrize(("end", "holds"), [(1, True), (0, False)])
async def test_only_the_partitions_with_a_new_leader_are_verified(end: int, *, holds: bool) -> None:
    """The leaders of the others still have what was read of them."""
    reader = RecordingReader()
    for partition in range(2):
        reader.apply([Record(partition, 0, 0, b"value")], {partition: 1})
    leader: Any = "a connection"
    changed = {TopicPartition("t", 1): leader}

    assert await verification_of(2, reader).holds(consumer_of({0: 0, 1: end}), changed) is holds
