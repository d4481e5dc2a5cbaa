"""The positions to commit: below them every record is decided."""

from fabric_jobs.executor.dispatch.offsets import Offsets


def make_offsets(*partitions: int) -> Offsets:
    """Returns the offsets of a new assignment."""
    offsets = Offsets()
    offsets.assign(partitions)
    return offsets


def read_and_claim(offsets: Offsets, partition: int, offset: int) -> None:
    """Reads a record, and sends a claim for it."""
    offsets.mark_undecided(partition, offset)
    offsets.mark_read(partition, offset)


def test_partition_that_was_not_read_has_no_position_to_commit() -> None:
    """Its committed position stays as it is."""
    assert make_offsets(0, 1).positions_to_commit() == {}


def test_partition_with_a_record_that_needs_no_claim_is_committed_after_the_record() -> None:
    """As in Kafka, the position is the offset of the next record."""
    offsets = make_offsets(0)
    offsets.mark_read(0, 7)

    assert offsets.positions_to_commit() == {0: 8}


def test_partition_with_an_undecided_claim_is_committed_up_to_that_record() -> None:
    """Later records are read again if this process dies. Other partitions are not affected."""
    offsets = make_offsets(0, 1)
    read_and_claim(offsets, 0, 5)
    offsets.mark_read(0, 6)
    offsets.mark_read(1, 9)

    assert offsets.positions_to_commit() == {0: 5, 1: 10}


def test_partition_whose_claims_are_decided_out_of_order_waits_for_the_lowest() -> None:
    """The position is that of the lowest undecided record."""
    offsets = make_offsets(0)
    for offset in (1, 2, 3):
        read_and_claim(offsets, 0, offset)

    offsets.mark_decided(0, 2)
    assert offsets.positions_to_commit() == {0: 1}
    offsets.mark_decided(0, 1)
    assert offsets.positions_to_commit() == {0: 3}
    offsets.mark_decided(0, 3)
    assert offsets.positions_to_commit() == {0: 4}


def test_position_that_was_committed_is_not_committed_again() -> None:
    """The next position to commit is a different one."""
    offsets = make_offsets(0)
    offsets.mark_read(0, 1)
    offsets.mark_committed(offsets.positions_to_commit())
    assert offsets.positions_to_commit() == {}

    offsets.mark_read(0, 2)
    assert offsets.positions_to_commit() == {0: 3}


def test_partition_that_was_revoked_is_not_committed() -> None:
    """Its new owner commits it, even if a record of it is still read here."""
    offsets = make_offsets(0, 1)
    offsets.mark_read(0, 1)
    offsets.assign([1])
    offsets.mark_read(0, 2)

    assert offsets.positions_to_commit() == {}


def test_record_read_again_while_its_claim_is_undecided_is_not_committed() -> None:
    """A new assignment of the partition does not decide its claims."""
    offsets = make_offsets(0)
    read_and_claim(offsets, 0, 4)
    offsets.assign([0])
    offsets.mark_read(0, 4)
    offsets.mark_read(0, 5)
    assert offsets.positions_to_commit() == {0: 4}

    offsets.mark_decided(0, 4)
    assert offsets.positions_to_commit() == {0: 6}


def test_position_of_an_earlier_assignment_is_committed_again() -> None:
    """Another executor may have committed a later one, beyond a claim that is undecided here."""
    offsets = make_offsets(0)
    read_and_claim(offsets, 0, 5)
    offsets.mark_committed(offsets.positions_to_commit())
    offsets.assign([0])
    offsets.mark_read(0, 9)

    assert offsets.positions_to_commit() == {0: 5}
