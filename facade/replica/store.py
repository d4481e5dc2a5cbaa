"""The replica's rows in SQLite: jobs, and per partition how far the log was read.

Rows and checkpoints change in one transaction, so a file is always the fold of a prefix of the log.
It holds nothing that the log does not: it can be deleted at any time. So what is put may wait in
memory for a while, and a job that changes meanwhile is written once. What looks for jobs by more
than their id writes first, but for those that are due: they are asked for several times a second.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from fabric_jobs import events
from fabric_jobs.heartbeats import JobKind, Run
from fabric_jobs.jobs import JobPhase
from facade.lifecycle import Job, due
from facade.log import Checkpoint
from facade.replica.database import make_anew, opened
from facade.replica.filter import Filter, created_us, microseconds
from facade.replica.memory import UNKNOWN, Entry, Memory

log = logging.getLogger("fabric_jobs.replica")

#: Raised when the fold or the form of a row changes: rows of another version are folded anew.
FOLD_VERSION = 3
#: What this version reads of an event. Rows that another one folded may lack fields, and hold jobs
#: undecided whose last event it did not know.
CONTRACT = sha256(
    msgspec.json.encode(msgspec.json.schema(events.KnownEvent), order="sorted")
).hexdigest()
#: In these, an executor holds the job.
_HELD = (JobPhase.RUNNING, JobPhase.STOPPING)

_NEVER_MS = 1 << 62

_ENTRY = "job, partition, last_offset, first_ms"
_PUT = """
INSERT INTO jobs (job_id, partition, first_ms, created_us, tenant_id, workspace_id, item_id,
  item_type, job_type, status, exhausted, queued_us, due_us, executor_id, attempt, last_offset, job)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (job_id) DO UPDATE SET
  status = excluded.status, exhausted = excluded.exhausted, queued_us = excluded.queued_us,
  due_us = excluded.due_us, executor_id = excluded.executor_id, attempt = excluded.attempt,
  last_offset = excluded.last_offset, job = excluded.job
"""


class Identity(Struct, frozen=True, kw_only=True):
    """Whose fold a file is: any difference means another log."""

    cluster_id: str
    topic: str
    partitions: int
    fold_version: int = FOLD_VERSION
    contract: str = CONTRACT


class Backlog(NamedTuple):
    """The jobs that are not final, counted."""

    by_status: Counter[str]
    #: By job type, those that wait for an executor's claim.
    queued: Counter[str]
    #: When the oldest job was accepted that has not started; none without one.
    not_started_since: datetime | None


class Store:
    """The rows. One process has a file to itself; all methods are quick and run on its loop."""

    def __init__(self, path: Path | None) -> None:
        """Opens the file, or memory for none. Raises `StateInUseError`, and `OSError`."""
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Job)
        self._db = opened(path)
        self._memory = Memory()
        self._checkpoints: dict[int, Checkpoint] = {}
        #: By partition, a time before which no job of it began.
        self._oldest_ms: dict[int, int] = {}

    def adopt(self, identity: Identity) -> None:
        """Keeps the rows if they are the fold of this log, else drops them."""
        text = msgspec.json.encode(identity).decode()
        rows = self._db.execute("SELECT value FROM identity").fetchall()
        if rows != [(text,)]:
            if rows:
                log.warning("the state is of another log or version: it is made anew from the log")
            self._forget()
            make_anew(self._db)
            self._db.execute("INSERT INTO identity VALUES (?)", (text,))
            self._db.commit()

    def clear(self) -> None:
        """Drops all rows and checkpoints, but not whose they are."""
        self._forget()
        self._db.execute("DELETE FROM jobs")
        self._db.execute("DELETE FROM checkpoints")
        self._db.commit()

    def close(self) -> None:
        """Writes what waits, and gives the file free."""
        try:
            self._write()
        finally:
            self._db.close()

    def checkpoints(self) -> dict[int, Checkpoint]:
        """How far each partition was read; those never read are absent."""
        self._write()
        rows = self._db.execute("SELECT * FROM checkpoints")
        return {number: Checkpoint(*values) for number, *values in rows}

    def put(
        self,
        entries: Iterable[Entry],
        checkpoints: dict[int, Checkpoint],
        expired_ms: dict[int, int],
    ) -> None:
        """Takes jobs, with the checkpoints behind them, and drops the jobs that are too old.

        Too old, in its partition, is a job that began at `expired_ms` or before.
        """
        for entry in entries:
            self._memory.put(entry)
            if entry.first_ms < self._oldest(entry.partition):
                self._oldest_ms[entry.partition] = entry.first_ms
        self._checkpoints |= checkpoints
        if any(self._oldest(number) <= until_ms for number, until_ms in expired_ms.items()):
            self._write(expired_ms)
        elif self._memory.is_full:
            self._write()

    def _write(self, expired_ms: dict[int, int] | None = None) -> None:
        if not (self._memory.waiting or self._checkpoints or expired_ms):
            return
        with self._db:
            self._db.executemany(_PUT, map(self._row, self._memory.waiting.values()))
            if expired_ms:
                self._db.executemany(
                    "DELETE FROM jobs WHERE partition = ? AND first_ms <= ?", expired_ms.items()
                )
            self._db.executemany(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
                [(number, *checkpoint) for number, checkpoint in self._checkpoints.items()],
            )
        self._memory.written()
        self._checkpoints = {}
        if expired_ms:
            self._memory.forget()
            self._oldest_ms.clear()

    def _forget(self) -> None:
        self._memory.forget()
        self._checkpoints.clear()
        self._oldest_ms.clear()

    def _oldest(self, partition: int) -> int:
        if partition not in self._oldest_ms:
            (first_ms,) = self._db.execute(
                "SELECT min(first_ms) FROM jobs WHERE partition = ?", (partition,)
            ).fetchone()
            self._oldest_ms[partition] = _NEVER_MS if first_ms is None else first_ms
        return self._oldest_ms[partition]

    def get(self, job_id: str) -> Entry | None:
        """The job of this canonical id."""
        found = self._memory.get(job_id)
        if found is not UNKNOWN:
            return found
        row = self._db.execute(
            f"SELECT {_ENTRY} FROM jobs WHERE job_id = ?",  # noqa: S608 - no input in it
            (job_id,),
        ).fetchone()
        entry = self._entry(row) if row else None
        self._memory.look_up(job_id, entry)
        return entry

    def list(
        self, which: Filter, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[Entry]:
        """Jobs, the newest first.

        `before` is the place of the page before's last job: its creation in microseconds, its id.
        """
        self._write()
        where, values = which.where()
        if before:
            where += " AND (created_us, job_id) < (?, ?)"
            values += before
        rows = self._db.execute(
            f"SELECT {_ENTRY} FROM jobs WHERE {where} "  # noqa: S608 - no input in it
            "ORDER BY created_us DESC, job_id DESC LIMIT ?",
            (*values, limit),
        )
        return [self._entry(row) for row in rows]

    def due(self, now: datetime, most: int) -> Sequence[str]:
        """The ids of jobs that are due, at most so many; the rest is due still afterwards."""
        # Asked several times a second, so what waits is looked through and not written for it.
        waits = self._memory.waiting
        waiting = [job_id for job_id, entry in waits.items() if _is_due(entry.job, now)]
        rows = self._db.execute(
            "SELECT job_id FROM jobs WHERE due_us <= ? ORDER BY due_us LIMIT ?",
            # As many more as may be passed over: rows of what waits are out of date.
            (microseconds(now), most + len(waits)),
        )
        written = [job_id for (job_id,) in rows if job_id not in waits]
        return [*waiting, *written][:most]

    def queued(self, kinds: Sequence[JobKind], before: datetime, most: int) -> Sequence[Entry]:
        """Jobs of these kinds that were dispatched before, and wait; the longest first."""
        self._write()
        places = ", ".join(["(?, ?)"] * len(kinds))
        rows = self._db.execute(
            f"SELECT {_ENTRY} FROM jobs "  # noqa: S608 - no input in it
            f"WHERE (item_type, job_type) IN (VALUES {places}) AND queued_us <= ? "
            "ORDER BY queued_us LIMIT ?",
            (*chain(*map(astuple, kinds)), microseconds(before), most),
        )
        return [self._entry(row) for row in rows]

    def running(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        self._write()
        rows = self._db.execute(
            "SELECT job_id, attempt, executor_id FROM jobs WHERE executor_id IS NOT NULL"
        )
        return [(Run(job_id, attempt), executor_id) for job_id, attempt, executor_id in rows]

    def backlog(self) -> Backlog:
        """The jobs that are not final; each query is answered by an index alone."""
        self._write()
        by_status = self._db.execute(
            "SELECT status, count(*) FROM jobs WHERE status IN ('NotStarted', 'InProgress') "
            "GROUP BY status"
        )
        queued: Counter[str] = Counter()
        for job_type, count in self._db.execute(
            "SELECT job_type, count(*) FROM jobs WHERE queued_us IS NOT NULL "
            "GROUP BY item_type, job_type"
        ):
            queued[job_type] += count
        (oldest_us,) = self._db.execute(
            "SELECT min(created_us) FROM jobs WHERE status = 'NotStarted'"
        ).fetchone()
        since = None if oldest_us is None else datetime.fromtimestamp(oldest_us / 1e6, UTC)
        return Backlog(Counter(dict(by_status)), queued, since)

    def unfinished(self, tenant_id: str, most: int) -> int:
        """How many of a tenant's jobs are not final, counted up to `most`."""
        self._write()
        (count,) = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE tenant_id = ? "
            "AND status IN ('NotStarted', 'InProgress') LIMIT ?)",
            (tenant_id, most),
        ).fetchone()
        return int(count)

    def _row(self, entry: Entry) -> tuple[str | int | bytes | None, ...]:
        state, what = entry.job.state, due(entry.job)
        # Claims are decided only upon events that are known here.
        waits = state.phase is JobPhase.QUEUED and entry.job.decidable
        return (
            entry.job.job_id,
            entry.partition,
            entry.first_ms,
            created_us(entry.job),
            state.tenant_id,
            state.workspace_id,
            state.item_id,
            state.item_type,
            state.job_type,
            state.status,
            state.exhausted,
            microseconds(state.dispatch_time or state.create_time) if waits else None,
            microseconds(what.time) if what else None,
            state.executor_id if state.phase in _HELD else None,
            state.attempt,
            entry.offset,
            self._encoder.encode(entry.job),
        )

    def _entry(self, row: tuple[bytes, int, int, int]) -> Entry:
        return Entry(self._decoder.decode(row[0]), *row[1:])


def _is_due(job: Job, now: datetime) -> bool:
    what = due(job)
    return what is not None and what.time <= now
