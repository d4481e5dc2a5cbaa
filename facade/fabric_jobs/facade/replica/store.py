"""The replica's jobs and checkpoints, in SQLite and in memory.

A checkpoint says how far a partition of the log was read. Jobs and checkpoints are written in one
transaction, so the file is always the fold of a prefix of the log. It contains nothing that the log
does not, and can be deleted at any time.

Folded jobs are therefore buffered in memory before they are written, and a job that changes
meanwhile is written once. The writer's thread writes them; it also runs the queries that read many
rows. All other queries are answered at once, from memory for jobs that are not written yet.
"""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from fabric_jobs.facade.lifecycle import JobLifetime
from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica.database import (
    create_list_indexes,
    open_database,
    recreate_tables,
)
from fabric_jobs.facade.replica.ended import EndedType, PendingCounts, read_counts
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.identity import Identity
from fabric_jobs.facade.replica.memory import NOT_IN_MEMORY, Memory
from fabric_jobs.facade.replica.queries import (
    Backlog,
    UnfinishedType,
    count_backlog,
    count_unfinished_types,
    find_jobs,
    find_replacements,
    list_job_ids,
    list_jobs,
)
from fabric_jobs.facade.replica.state_copy import CopyError, PinnedFile, pin_file
from fabric_jobs.facade.replica.state_file import StateFailure
from fabric_jobs.facade.replica.stored_job import StoredJob
from fabric_jobs.facade.replica.unfinished import UnfinishedJobs
from fabric_jobs.facade.replica.writer import WriteBatch, Writer

log = logging.getLogger("fabric_jobs.replica")

#: Batches that the writer may have before a caller waits for it. A query leads to at most one.
MAX_BATCHES = 8

DEFAULT_LIFETIME = JobLifetime()

Answer = TypeVar("Answer")


class Store:
    """The jobs and checkpoints. One process uses a file, and one thread calls all methods.

    All methods are quick, except that `put` waits while the writer is behind. Each of them raises
    `StateError` when it needs the file and the file can't be used; then only `close` helps.
    """

    def __init__(self, path: Path | None, lifetime: JobLifetime = DEFAULT_LIFETIME) -> None:
        """Opens the file, or a database in memory if the path is None.

        `lifetime` must be the same whenever a file is used: `adopt` sees to it.
        Raises what `open_database` raises.
        """
        #: How long a job may live, and how long it is remembered.
        self.lifetime = lifetime
        self._path = path
        #: The first failure of the file.
        self.failure = StateFailure(path)
        with self.failure.catch():
            self._db = open_database(path)
        self._writer = Writer(self._db.writer, self.failure, lifetime.longest)
        self._memory = Memory(lifetime.longest)
        self._ended = PendingCounts()
        #: The queries of unfinished jobs.
        self.unfinished = UnfinishedJobs(self._db.reader, self._memory, self.failure)
        self._checkpoints: dict[int, Checkpoint] = {}
        self._expired_ms: dict[int, int] = {}
        #: Whether anything was put that no batch contains.
        self._has_pending = False
        #: The batches that the writer has, the oldest first: each with its jobs, and the future
        #: that ends when it is in the file.
        self._in_flight = deque[tuple[Mapping[str, StoredJob], Future[None]]]()

    def adopt(self, identity: Identity) -> None:
        """Keeps the file's content if its identity is this one; otherwise drops the content."""
        text = msgspec.json.encode(identity).decode()
        with self.failure.catch():
            found = self._db.reader.execute("SELECT value FROM identity").fetchall()
            if found == [(text,)]:
                read = self._db.reader.execute("SELECT * FROM checkpoints")
                self._checkpoints = {number: Checkpoint(*values) for number, *values in read}
                return
        if found:
            log.warning("the state is of another log, version or longest life: it is built again")

        def recreate(db: sqlite3.Connection) -> None:
            recreate_tables(db)
            with db:
                db.execute("INSERT INTO identity VALUES (?)", (text,))

        self._start_over(recreate)

    def clear(self) -> None:
        """Drops all jobs and checkpoints, and keeps the identity."""

        def delete_rows(db: sqlite3.Connection) -> None:
            with db:
                for table in ("jobs", "checkpoints", "ended", "ended_types"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608 - no input in it

        self._start_over(delete_rows)

    def index_for_lists(self) -> Future[None]:
        """Creates the indexes that lists use, unless they exist; takes seconds for a million jobs.

        Call it when the log was read to its end. Until then, a list reads every row.
        """
        return self._writer.run(create_list_indexes)

    @property
    def has_file(self) -> bool:
        """Whether the jobs are in a file, and not only in memory."""
        return self._path is not None

    def pin_file(self) -> Future[PinnedFile]:
        """The file's content as of the call, for a copy; the caller must close it.

        The future raises `CopyError` if there is no file, or if it can't be pinned now.
        """
        path, file = self._path, self._db.file

        def pin(db: sqlite3.Connection) -> PinnedFile:
            if path is None or file is None:
                raise CopyError("The state is in memory.")
            return pin_file(db, path, file)

        return self._query(pin)

    def close(self) -> None:
        """Writes the pending jobs, and releases the file."""
        try:
            self._write_pending(max_before=MAX_BATCHES)
            self._settle(max_left=0)
        finally:
            self._writer.close()
            self._db.close()

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The checkpoint of each partition, without those that were never read."""
        return dict(self._checkpoints)

    def put(
        self,
        stored_jobs: Iterable[StoredJob],
        checkpoints: dict[int, Checkpoint],
        expired_ms: dict[int, int],
    ) -> None:
        """Takes new and changed jobs with their checkpoints, and drops jobs that are too old.

        `expired_ms` gives a time for each partition, in milliseconds since 1970: a job whose first
        record has this time or an earlier one is too old. `get` no longer returns it; the other
        queries no longer return it once the next batch is written.
        """
        for stored in stored_jobs:
            self._memory.put(stored)
            # A final job never changes, so it is put as final once.
            if stored.job.final:
                self._ended.count(stored.job.state)
        # New dictionaries, because a batch in flight has the old ones.
        self._checkpoints = self._checkpoints | checkpoints
        self._expired_ms = self._expired_ms | expired_ms
        self._has_pending = True
        self._settle(max_left=MAX_BATCHES)
        if self._memory.is_full:
            self._write_pending(max_before=0)

    def get(self, job_id: str) -> StoredJob | None:
        """The job with this canonical id; None if there is none, or if it is too old."""
        stored = self._memory.get(job_id)
        if stored is NOT_IN_MEMORY:
            stored = self._look_up([job_id])[job_id]
        return stored if stored and not self._is_expired(stored) else None

    def get_many(self, job_ids: Iterable[str]) -> dict[str, StoredJob]:
        """The jobs that `get` would return for these ids; ids without a job are left out."""
        found = {job_id: self._memory.get(job_id) for job_id in job_ids}
        if missing := [job_id for job_id, stored in found.items() if stored is NOT_IN_MEMORY]:
            found |= self._look_up(missing)
        return {
            job_id: stored
            for job_id, stored in found.items()
            if isinstance(stored, StoredJob) and not self._is_expired(stored)
        }

    def list(
        self,
        which: Filter,
        limit: int,
        before: tuple[int, str] | None = None,
        *,
        oldest_first: bool = False,
    ) -> Future[Sequence[StoredJob]]:
        """A page of the jobs that match the filter; the arguments are those of `list_jobs`."""
        return self._query(
            lambda db: list_jobs(db, which, limit, before, oldest_first=oldest_first)
        )

    def list_ids(self, which: Filter, limit: int) -> Future[Sequence[str]]:
        """The ids of at most `limit` jobs that match the filter, the oldest first."""
        return self._query(lambda db: list_job_ids(db, which, limit))

    def backlog(self) -> Future[Backlog]:
        """The numbers of jobs that are not final."""
        return self._query(count_backlog)

    def replacements(self, job_ids: Sequence[str]) -> Future[Mapping[str, str]]:
        """The id of the job that took the place of each of these jobs; others are left out."""
        return self._query(lambda db: find_replacements(db, job_ids))

    def unfinished_types(self) -> Future[Sequence[UnfinishedType]]:
        """The numbers of jobs that are not final, by type and status."""
        return self._query(count_unfinished_types)

    def ended(self, width_s: int, first_s: int, buckets: int) -> Future[Sequence[EndedType]]:
        """The counts of ended jobs; the arguments are those of `read_counts`."""
        return self._query(lambda db: read_counts(db, width_s, first_s, buckets))

    def _is_expired(self, stored: StoredJob) -> bool:
        return stored.first_ms <= self._expired_ms.get(stored.partition, -1)

    def _look_up(self, job_ids: Sequence[str]) -> dict[str, StoredJob | None]:
        """What the file has for each id; memory caches it."""
        with self.failure.catch():
            found = dict.fromkeys(job_ids) | find_jobs(self._db.reader, job_ids)
        for job_id, stored in found.items():
            self._memory.cache(job_id, stored)
        return found

    def _query(self, query: Callable[[sqlite3.Connection], Answer]) -> Future[Answer]:
        """Runs a query on the writer's thread; its result reflects all that was put before."""
        self._write_pending(max_before=MAX_BATCHES)
        return self._writer.run(query)

    def _write_pending(self, max_before: int) -> None:
        """Gives the pending jobs to the writer, once it has at most `max_before` other batches."""
        self._settle(max_before)
        if self._has_pending:
            taken = self._memory.take_pending()
            batch = WriteBatch(
                list(taken.values()), self._checkpoints, self._expired_ms, self._ended.take()
            )
            self._in_flight.append((taken, self._writer.write(batch)))
            self._has_pending = False

    def _settle(self, max_left: int) -> None:
        """Marks the batches that are written, and waits until at most `max_left` are in flight."""
        while self._in_flight and (len(self._in_flight) > max_left or self._in_flight[0][1].done()):
            taken, written = self._in_flight.popleft()
            written.result()
            self._memory.mark_written(taken)

    def _start_over(self, drop: Callable[[sqlite3.Connection], None]) -> None:
        self._settle(max_left=0)
        self._memory.clear()
        self._ended.take()
        self._checkpoints, self._expired_ms, self._has_pending = {}, {}, False
        self._writer.run(drop).result()
