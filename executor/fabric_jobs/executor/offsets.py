"""Per partition, the position below which every record that was read is decided.

Rule 1: a record is open from when its claim is asked until that is decided: granted, or refused for
good. A record that needs no claim is decided by reading it.
Rule 2: a partition is committed up to its lowest open record, or else up to the last one read.
Rule 3: records stay open across rebalances, so that one that is read again, while its claim is
awaited, is not passed.
"""

from collections import defaultdict
from collections.abc import Iterable


class Offsets:
    """The offsets of one topic."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._open: defaultdict[int, set[int]] = defaultdict(set)
        self._committed: dict[int, int] = {}
        self._assigned: frozenset[int] = frozenset()

    def assign(self, partitions: Iterable[int]) -> None:
        """Starts anew with these partitions; no other is committed."""
        self._assigned = frozenset(partitions)
        self._next.clear()
        self._committed.clear()

    def read(self, partition: int, offset: int) -> None:
        """The record was read; it is decided unless it is open."""
        if partition in self._assigned:
            self._next[partition] = offset + 1

    def open(self, partition: int, offset: int) -> None:
        """The record's claim is asked."""
        self._open[partition].add(offset)

    def close(self, partition: int, offset: int) -> None:
        """The record's claim is decided."""
        self._open[partition].discard(offset)

    def to_commit(self) -> dict[int, int]:
        """The positions that have changed since they were committed."""
        positions = {
            partition: min(self._open[partition] | {position})
            for partition, position in self._next.items()
        }
        return {
            partition: position
            for partition, position in positions.items()
            if self._committed.get(partition) != position
        }

    def commit(self, positions: dict[int, int]) -> None:
        """The positions were committed."""
        self._committed.update(positions)
