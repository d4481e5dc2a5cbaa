"""The replica's rows in SQLite: jobs, and per partition how far the log was read.

Rows and checkpoints change in one transaction, so a file is always the fold of a prefix of the log.
It holds nothing that the log does not: it can be deleted at any time. So what is put may wait in
memory for a while, and a job that changes meanwhile is written once. A thread of its own writes it
and looks through many rows. What is asked for every second or more often is answered at once: from
the file, and from memory for what the file does not have as it is.
"""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import astuple

from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.database import index_for_lists, make_anew, opened
from fabric_jobs.facade.replica.filter import Filter, microseconds
from fabric_jobs.facade.replica.identity import Identity
from fabric_jobs.facade.replica.memory import UNKNOWN, Memory, StoredJob
from fabric_jobs.facade.replica.queries import Backlog, backlog, listed, named
from fabric_jobs.facade.replica.writer import WriteBatch, Writer

log = logging.getLogger("fabric_jobs.replica")

#: Batches that may be on their way to the file before a question waits: each led to one, at most.
MAX_BATCHES = 8

Answer = TypeVar("Answer")


class Store:
    """The rows. One process has a file to itself, and all methods are called from one thread.

    They are quick, but for `put` where the writer is behind. What ended the writing is raised by
    those that put and those that ask it.
    """

    def __init__(self, path: Path | None) -> None:
        """Opens the file, or memory for none. Raises `StateInUseError`, and `OSError`."""
        self._db = opened(path)
        self._writer = Writer(self._db.writer)
        self._memory = Memory()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._expired_ms: dict[int, int] = {}
        #: Whether something was put that no batch has.
        self._waits = False
        #: The batches that the writer has, the oldest first: their jobs, and when they are written.
        self._in_flight = deque[tuple[Mapping[str, StoredJob], Future[None]]]()

    def adopt(self, identity: Identity) -> None:
        """Keeps the rows if they are the fold of this log, else drops them."""
        text = msgspec.json.encode(identity).decode()
        found = self._db.reader.execute("SELECT value FROM identity").fetchall()
        if found == [(text,)]:
            read = self._db.reader.execute("SELECT * FROM checkpoints")
            self._checkpoints = {number: Checkpoint(*values) for number, *values in read}
            return
        if found:
            log.warning("the state is of another log or version: it is made anew from the log")

        def take(db: sqlite3.Connection) -> None:
            make_anew(db)
            with db:
                db.execute("INSERT INTO identity VALUES (?)", (text,))

        self._begin_anew(take)

    def clear(self) -> None:
        """Drops all rows and checkpoints, but not whose they are."""

        def drop(db: sqlite3.Connection) -> None:
            with db:
                db.execute("DELETE FROM jobs")
                db.execute("DELETE FROM checkpoints")

        self._begin_anew(drop)

    def index_for_lists(self) -> Future[None]:
        """Makes the indexes of lists, where they are not there; for a million jobs, seconds.

        To be asked for once the log's end was reached. A list before would look at every row.
        """
        return self._writer.ask(index_for_lists)

    def close(self) -> None:
        """Writes what waits, and gives the file free."""
        try:
            self._write(most_before=MAX_BATCHES)
            self._settle(most=0)
        finally:
            self._writer.close()
            self._db.close()

    def checkpoints(self) -> dict[int, Checkpoint]:
        """How far each partition was read; those never read are absent."""
        return dict(self._checkpoints)

    def put(
        self,
        entries: Iterable[StoredJob],
        checkpoints: dict[int, Checkpoint],
        expired_ms: dict[int, int],
    ) -> None:
        """Takes jobs, with the checkpoints behind them, and drops the jobs that are too old.

        Too old, in its partition, is a job that began at `expired_ms` or before. It is not had by
        its id any more, and is gone for all others with the next that is written.
        """
        for entry in entries:
            self._memory.put(entry)
        # Each anew: a batch has those before.
        self._checkpoints = self._checkpoints | checkpoints
        self._expired_ms = self._expired_ms | expired_ms
        self._waits = True
        self._settle(most=MAX_BATCHES)
        if self._memory.is_full:
            self._write(most_before=0)

    def get(self, job_id: str) -> StoredJob | None:
        """The job of this canonical id."""
        entry = self._memory.get(job_id)
        if entry is UNKNOWN:
            entry = self._look_up([job_id])[job_id]
        return entry if entry and not self._is_expired(entry) else None

    def get_many(self, job_ids: Iterable[str]) -> dict[str, StoredJob]:
        """Those of these canonical ids that are jobs."""
        found = {job_id: self._memory.get(job_id) for job_id in job_ids}
        if asked := [job_id for job_id, entry in found.items() if entry is UNKNOWN]:
            found |= self._look_up(asked)
        return {
            job_id: entry
            for job_id, entry in found.items()
            if isinstance(entry, StoredJob) and not self._is_expired(entry)
        }

    def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None = None
    ) -> Future[Sequence[StoredJob]]:
        """Jobs, the newest first.

        `before` is the place of the page before's last job: its creation in microseconds, its id.
        """
        return self._ask(lambda db: listed(db, which, limit, before))

    def backlog(self) -> Future[Backlog]:
        """The jobs that are not final."""
        return self._ask(backlog)

    def due(self, now: datetime, most: int) -> Sequence[str]:
        """The ids of jobs that are due, at most so many; the rest is due still afterwards."""
        found = self._current(
            "SELECT job_id FROM jobs WHERE due_us <= ? ORDER BY due_us", microseconds(now)
        )
        written = (job_id for (job_id,) in found)
        return [*islice(chain(self._memory.due(now), written), most)]

    def queued(self, kinds: Sequence[JobKind], before: datetime, most: int) -> Sequence[StoredJob]:
        """Jobs of these kinds that were dispatched before, and wait; the longest first."""
        places = ", ".join(["(?, ?)"] * len(kinds))
        found = self._current(
            f"SELECT job_id, {rows.ENTRY} FROM jobs "  # noqa: S608 - no input in it
            f"WHERE (item_type, job_type) IN (VALUES {places}) AND queued_us <= ? "
            "ORDER BY queued_us",
            *chain(*map(astuple, kinds)),
            microseconds(before),
        )
        written = [rows.entry(*row) for _, *row in islice(found, most)]
        unwritten = [
            one
            for one in self._memory.unfinished
            if (queued := rows.queued_at(one.job))
            and queued <= before
            and JobKind(one.job.state.item_type, one.job.state.job_type) in kinds
        ]
        longest = sorted([*written, *unwritten], key=lambda one: rows.queued_at(one.job) or before)
        return longest[:most]

    def running(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        found = self._current(
            "SELECT job_id, attempt, executor_id FROM jobs WHERE executor_id IS NOT NULL"
        )
        return [
            *((Run(job_id, attempt), executor_id) for job_id, attempt, executor_id in found),
            *(
                (Run(one.job.job_id, one.job.state.attempt), executor_id)
                for one in self._memory.unfinished
                if (executor_id := rows.holder(one.job))
            ),
        ]

    def has_room(self, tenant_id: str, most: int) -> bool:
        """Whether a tenant has fewer jobs than so many that are not final."""
        room = most - self._memory.unfinished_of(tenant_id)
        if room <= 0:
            return False
        where = "tenant_id = ? AND status IN ('NotStarted', 'InProgress')"
        (count,) = self._db.reader.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {where} LIMIT ?)",  # noqa: S608
            (tenant_id, room),
        ).fetchone()
        if count < room:
            return True
        # Now it matters which of the rows are out of date.
        found = self._current(f"SELECT job_id FROM jobs WHERE {where}", tenant_id)  # noqa: S608
        return len([*islice(found, room)]) < room

    def _is_expired(self, entry: StoredJob) -> bool:
        return entry.first_ms <= self._expired_ms.get(entry.partition, -1)

    def _look_up(self, job_ids: Sequence[str]) -> dict[str, StoredJob | None]:
        """What the file says of each."""
        found = dict.fromkeys(job_ids) | named(self._db.reader, job_ids)
        for job_id, entry in found.items():
            self._memory.look_up(job_id, entry)
        return found

    def _current(self, query: str, *values: str | int) -> Iterator[tuple[Any, ...]]:
        """The file's rows but for those that are out of date; the first column is the job's id."""
        unwritten = self._memory.unwritten
        found = self._db.reader.execute(query, values)
        return (row for row in found if row[0] not in unwritten)

    def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Future[Answer]:
        """The answer, by all that was put up to now."""
        self._write(most_before=MAX_BATCHES)
        return self._writer.ask(question)

    def _write(self, most_before: int) -> None:
        """Gives what waits to the writer, once it has no more than so many batches before."""
        self._settle(most_before)
        if self._waits:
            taken = self._memory.take()
            batch = WriteBatch(list(taken.values()), self._checkpoints, self._expired_ms)
            self._in_flight.append((taken, self._writer.write(batch)))
            self._waits = False

    def _settle(self, most: int) -> None:
        """Takes for written what is, and waits while more than so many batches are not."""
        while self._in_flight and (len(self._in_flight) > most or self._in_flight[0][1].done()):
            taken, written = self._in_flight.popleft()
            written.result()
            self._memory.written(taken)

    def _begin_anew(self, dropping: Callable[[sqlite3.Connection], None]) -> None:
        self._settle(most=0)
        self._memory, self._checkpoints, self._expired_ms, self._waits = Memory(), {}, {}, False
        self._writer.ask(dropping).result()
