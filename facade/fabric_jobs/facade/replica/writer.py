"""The thread that writes the rows, and looks through them: neither is for the loop to wait for."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import attrgetter
from typing import NamedTuple, TypeVar

from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.memory import StoredJob

#: The statements, by their rows; the most that fit are taken. While one is executed, the loop has
#: the interpreter, and while its rows are made it waits: for so few, less than a millisecond. Nor
#: does an older SQLite take more than 999 values.
_PUT = {size: rows.put(size) for size in (50, 10, 1)}

Answer = TypeVar("Answer")


class WriteBatch(NamedTuple):
    """What one transaction writes."""

    entries: Sequence[StoredJob]
    checkpoints: Mapping[int, Checkpoint]
    #: By partition, the time up to which jobs began that are too old, in milliseconds since 1970.
    expired_ms: Mapping[int, int]


class Writer:
    """Does one thing after the other; once a batch could not be written, nothing any more."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._thread = ThreadPoolExecutor(1, "write rows")
        self._error: BaseException | None = None

    def write(self, batch: WriteBatch) -> "Future[None]":
        """The future ends once the batch is in the file."""
        return self._thread.submit(self._in_turn, self._write, batch)

    def ask(self, question: Callable[[sqlite3.Connection], Answer]) -> "Future[Answer]":
        """The answer, by what was written up to now."""
        return self._thread.submit(self._in_turn, question, self._db)

    def close(self) -> None:
        """Returns once all that was asked for is done."""
        self._thread.shutdown()

    def _in_turn(self, does: Callable[..., Answer], what: object) -> Answer:
        if self._error:
            raise self._error
        return does(what)

    def _write(self, batch: WriteBatch) -> None:
        expired_ms = batch.expired_ms
        entries = [one for one in batch.entries if one.first_ms > expired_ms.get(one.partition, -1)]
        # Ids are random: in their order, each page of their index is read and changed once.
        entries.sort(key=attrgetter("job.job_id"))
        try:
            with self._db as db:
                db.executemany(
                    "DELETE FROM jobs WHERE partition = ? AND first_ms <= ?", expired_ms.items()
                )
                for portion in _portions(entries):
                    db.execute(_PUT[len(portion)], rows.values(portion))
                db.executemany(
                    "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
                    [(number, *checkpoint) for number, checkpoint in batch.checkpoints.items()],
                )
        except BaseException as error:
            # What comes behind it would leave a hole.
            self._error = error
            raise


def _portions(entries: Sequence[StoredJob]) -> Iterator[Sequence[StoredJob]]:
    start = 0
    while rest := len(entries) - start:
        size = next(size for size in _PUT if size <= rest)
        yield entries[start : start + size]
        start += size
