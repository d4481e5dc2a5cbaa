"""The thread that writes rows and runs long queries, so that the event loop waits for neither."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple, TypeVar

from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.ended import EndedKey, write_counts
from fabric_jobs.facade.replica.state_file import StateFailure
from fabric_jobs.facade.replica.stored_job import StoredJob

#: The statements by their number of rows; a batch is written in portions of these sizes. To build
#: a portion's values holds the interpreter, and so the event loop: with 49 rows for less than a
#: millisecond. SQLite before 3.32 takes at most 999 values, and a row has 20.
_UPSERTS = {size: rows.upsert_statement(size) for size in (49, 10, 1)}

Answer = TypeVar("Answer")


class WriteBatch(NamedTuple):
    """The content of one transaction."""

    stored_jobs: Sequence[StoredJob]
    checkpoints: Mapping[int, Checkpoint]
    #: For each partition: jobs whose first record has this time or an earlier one are too old, and
    #: are deleted. In milliseconds since 1970.
    expired_ms: Mapping[int, int]
    #: The counts of the jobs that ended.
    ended: Mapping[EndedKey, list[int]]


class Writer:
    """Runs writes and queries one after the other. Once one has failed, all later ones fail.

    Without a batch that failed, the file with a later one would not be a fold of the log.
    """

    def __init__(
        self, db: sqlite3.Connection, failure: StateFailure, longest_life: timedelta
    ) -> None:
        """`longest_life` is the service's longest life of a job."""
        self._db = db
        self._longest_life = longest_life
        self._thread = ThreadPoolExecutor(1, "write rows")
        self._failure = failure

    def write(self, batch: WriteBatch) -> "Future[None]":
        """Writes the batch; the future ends when it is in the file, or with `StateError`."""
        return self._thread.submit(self._run_in_turn, self._write, batch)

    def run(self, query: Callable[[sqlite3.Connection], Answer]) -> "Future[Answer]":
        """Calls the function once all earlier batches are written; the future has its result.

        The future raises the error of the function, or `StateError` if the file can't be used.
        """
        return self._thread.submit(self._run_in_turn, query, self._db)

    def close(self) -> None:
        """Returns once all that was given before is done."""
        self._thread.shutdown()

    def _run_in_turn(self, function: Callable[..., Answer], argument: object) -> Answer:
        with self._failure.catch():
            return function(argument)

    def _write(self, batch: WriteBatch) -> None:
        expired_ms = batch.expired_ms
        stored_jobs = [
            stored
            for stored in batch.stored_jobs
            if stored.first_ms > expired_ms.get(stored.partition, -1)
        ]
        # Ids are random: in their order, each page of their index is read and changed once.
        stored_jobs.sort(key=attrgetter("job.job_id"))
        with self._db as db:
            db.executemany(
                "DELETE FROM jobs WHERE partition = ? AND first_ms <= ?", expired_ms.items()
            )
            for portion in _portions(stored_jobs):
                values = rows.row_values(portion, self._longest_life)
                db.execute(_UPSERTS[len(portion)], values)
            write_counts(db, batch.ended)
            db.executemany(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
                [(number, *checkpoint) for number, checkpoint in batch.checkpoints.items()],
            )


def _portions(stored_jobs: Sequence[StoredJob]) -> Iterator[Sequence[StoredJob]]:
    """The jobs in portions, each as large as the largest statement that it can fill."""
    start = 0
    while rest := len(stored_jobs) - start:
        size = next(size for size in _UPSERTS if size <= rest)
        yield stored_jobs[start : start + size]
        start += size
