"""Records that were applied when Kafka acknowledged them, before the fetch brought them.

With acks=all, the answer to an append says the record's offset and the broker's time. A tail that
stands exactly at this offset gives the record to its reader at once. The fetch brings the same
offset later, and the tail skips it. Another record at the offset means that the brokers lost an
acknowledged one, as an unclean leader election does.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from fabric_jobs.facade.log.reader import checksum

#: The records of all partitions that may be applied before they are fetched. If the fetch is
#: further behind, the tail waits for it, so that a fetch that has stopped is noticed.
MAX_UNFETCHED = 4096


class AppendedRecord(NamedTuple):
    """A record of this process, as Kafka acknowledged it."""

    topic: str
    partition: int
    offset: int
    #: The broker's time of the record, in milliseconds since 1970.
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class UnfetchedRecord(NamedTuple):
    """What is kept of a record until it is fetched."""

    offset: int
    checksum: int
    key: bytes


class Unfetched:
    """The records that were applied and not fetched yet, by partition, in the order of the log."""

    def __init__(self) -> None:
        self._by_partition: dict[int, deque[UnfetchedRecord]] = {}
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether no further record may be applied before it is fetched."""
        return self._count >= MAX_UNFETCHED

    def add(self, record: AppendedRecord) -> None:
        """Adds a record; its offset is higher than those that were added to its partition."""
        kept = UnfetchedRecord(record.offset, checksum(record.value), record.key)
        self._by_partition.setdefault(record.partition, deque()).append(kept)
        self._count += 1

    def take_lost(self, partition: int, offset: int, value: bytes | None) -> UnfetchedRecord | None:
        """Removes the partition's records up to this offset, because the fetch has brought it.

        Returns the record that was applied at the offset if the fetched value is another one.
        """
        kept = self._by_partition.get(partition)
        while kept and kept[0].offset <= offset:
            self._count -= 1
            # Lower offsets that the fetch did not bring are those that a compaction removed.
            applied = kept.popleft()
            if applied.offset == offset and applied.checksum != checksum(value):
                return applied
        return None

    def first(self, partition: int, offset: int = 0) -> UnfetchedRecord | None:
        """The partition's first record from this offset on that was applied and not fetched yet."""
        kept = self._by_partition.get(partition, ())
        return next((record for record in kept if record.offset >= offset), None)

    def forget(self, partition: int) -> None:
        """Forgets the records of a partition."""
        self._count -= len(self._by_partition.pop(partition, ()))

    def clear(self) -> None:
        """Forgets every record."""
        self._by_partition.clear()
        self._count = 0
