"""Per partition, the position to commit: every record below it is decided.

Rule 1: a record that dispatches an attempt is undecided from when it is read until its claim is
granted or refused. Any other record is decided when it is read.
Rule 2: the position of a partition is its lowest undecided record, or, if it has none, the record
after the last one that was read.
Rule 3: records whose claims are sent stay undecided across rebalances. If such a record is read
again, the position still does not pass it.
"""

from collections import defaultdict
from collections.abc import Iterable


class Offsets:
    """The positions of the assigned partitions of one topic."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._undecided: defaultdict[int, set[int]] = defaultdict(set)
        self._committed: dict[int, int] = {}
        self._assigned: frozenset[int] = frozenset()

    def assign(self, partitions: Iterable[int]) -> None:
        """Replaces the assignment. Nothing of it is read yet; other partitions get no position."""
        self._assigned = frozenset(partitions)
        self._next.clear()
        self._committed.clear()

    def mark_read(self, partition: int, offset: int) -> None:
        """Records that the record at this offset was read."""
        if partition in self._assigned:
            self._next[partition] = offset + 1

    def mark_undecided(self, partition: int, offset: int) -> None:
        """Records that the attempt of the record at this offset waits for its claim."""
        self._undecided[partition].add(offset)

    def mark_decided(self, partition: int, offset: int) -> None:
        """Records that the record at this offset needs no claim, or none any more."""
        self._undecided[partition].discard(offset)

    def positions_to_commit(self) -> dict[int, int]:
        """Returns, by partition, the positions that differ from the committed ones."""
        positions = {
            partition: min(self._undecided[partition] | {position})
            for partition, position in self._next.items()
        }
        return {
            partition: position
            for partition, position in positions.items()
            if self._committed.get(partition) != position
        }

    def mark_committed(self, positions: dict[int, int]) -> None:
        """Records that these positions, by partition, were committed."""
        self._committed.update(positions)
