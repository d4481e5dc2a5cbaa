"""What the tail gives to its reader: records, and how far each partition was read."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

from msgspec import Struct


class Record(Struct, frozen=True):
    """One record of the topic."""

    partition: int
    offset: int
    #: The broker's time of the record, in milliseconds since 1970.
    time_ms: int
    value: bytes | None
    key: bytes | None = None
    #: False if the record's codes are missing or wrong: a reader takes nothing from its value.
    is_accepted: bool = True

    @property
    def checksum(self) -> int:
        """The CRC-32 of the value: shows whether the record at an offset is still the same one."""
        return checksum(self.value)


class Checkpoint(NamedTuple):
    """How far a reader has read a partition, and the last record that it read there."""

    #: The next offset to read.
    position: int
    last_offset: int
    last_checksum: int


class Reader(Protocol):
    """The receiver of the records. The tail calls its methods one at a time on the event loop."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The reader's checkpoint in each partition, without those that it never read."""

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Takes the next records, and the next offset to read in each partition."""

    def reset(self) -> None:
        """Forgets everything, because the log will be read from its beginning."""


def checksum(value: bytes | None) -> int:
    """The CRC-32 of a record's value."""
    return crc32(value or b"")
