"""The position below which every claim is decided."""

from fabric_jobs.executor.offsets import Offsets


def assigned(*partitions: int) -> Offsets:
    """The offsets of a fresh assignment."""
    offsets = Offsets()
    offsets.assign(partitions)
    return offsets


def claim(offsets: Offsets, partition: int, offset: int) -> None:
    """A record is read whose claim is asked."""
    offsets.open(partition, offset)
    offsets.read(partition, offset)


def test_a_partition_that_was_not_read_has_nothing_to_commit() -> None:
    """Its committed position stays what it is."""
    assert assigned(0, 1).to_commit() == {}


def test_a_record_without_a_claim_is_decided_by_reading_it() -> None:
    """The position is the next record's."""
    offsets = assigned(0)
    offsets.read(0, 7)

    assert offsets.to_commit() == {0: 8}


def test_an_undecided_claim_holds_its_partition_back_and_no_other() -> None:
    """What follows it is read again if this process dies."""
    offsets = assigned(0, 1)
    claim(offsets, 0, 5)
    offsets.read(0, 6)
    offsets.read(1, 9)

    assert offsets.to_commit() == {0: 5, 1: 10}


def test_claims_may_be_decided_in_any_order() -> None:
    """The lowest that is open counts."""
    offsets = assigned(0)
    for offset in (1, 2, 3):
        claim(offsets, 0, offset)

    offsets.close(0, 2)
    assert offsets.to_commit() == {0: 1}
    offsets.close(0, 1)
    assert offsets.to_commit() == {0: 3}
    offsets.close(0, 3)
    assert offsets.to_commit() == {0: 4}


def test_a_position_is_committed_once() -> None:
    """Until it changes there is nothing to do."""
    offsets = assigned(0)
    offsets.read(0, 1)
    offsets.commit(offsets.to_commit())
    assert offsets.to_commit() == {}

    offsets.read(0, 2)
    assert offsets.to_commit() == {0: 3}


def test_a_partition_that_was_taken_away_is_not_committed() -> None:
    """Its new owner commits it."""
    offsets = assigned(0, 1)
    offsets.read(0, 1)
    offsets.assign([1])
    offsets.read(0, 2)

    assert offsets.to_commit() == {}


def test_a_record_read_again_while_its_claim_is_awaited_is_not_passed() -> None:
    """A rebalance makes no undecided claim decided."""
    offsets = assigned(0)
    claim(offsets, 0, 4)
    offsets.assign([0])
    offsets.read(0, 4)
    offsets.read(0, 5)
    assert offsets.to_commit() == {0: 4}

    offsets.close(0, 4)
    assert offsets.to_commit() == {0: 6}
