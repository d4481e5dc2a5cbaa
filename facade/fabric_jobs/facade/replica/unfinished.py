"""Finds unfinished jobs, in the file and in memory."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge, nsmallest
from itertools import chain, islice
from typing import Any, NamedTuple

from msgspec.structs import astuple

from fabric_jobs.contract.dispatch_order import DEFAULT_PRIORITIES, default_priority
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.database import UNFINISHED
from fabric_jobs.facade.replica.filter import microseconds
from fabric_jobs.facade.replica.memory import Memory
from fabric_jobs.facade.replica.state_file import StateFailure
from fabric_jobs.facade.replica.stored_job import StoredJob


class DueJob(NamedTuple):
    """A job whose next deadline has come. Jobs are in the order of these fields."""

    #: The deadline's time, in microseconds since 1970.
    due_us: int
    job_id: str
    partition: int


#: Comes before every job.
_FIRST = DueJob(-(2**63), "", 0)


class UnfinishedJobs:
    """The queries that a facade makes every second or more often.

    Each combines the file's rows with the unwritten jobs in memory, which replace their rows. An
    index makes each quick enough for the event loop, and none waits for the writer.
    """

    def __init__(self, reader: sqlite3.Connection, memory: Memory, failure: StateFailure) -> None:
        self._reader = reader
        self._memory = memory
        self._failure = failure

    def due_jobs(self, now: datetime, limit: int, after: DueJob | None = None) -> Sequence[DueJob]:
        """The `limit` jobs whose next deadline came first, of those that are due after `after`."""
        after = after or _FIRST
        found = self._current_rows(
            "SELECT job_id, due_us, partition FROM jobs "
            "WHERE due_us <= ? AND (due_us, job_id) > (?, ?) ORDER BY due_us, job_id",
            microseconds(now),
            after.due_us,
            after.job_id,
        )
        written = (DueJob(due_us, job_id, partition) for job_id, due_us, partition in found)
        unwritten = (
            DueJob(microseconds(due_at), stored.job.job_id, stored.partition)
            for due_at, stored in self._memory.due_jobs(now)
        )
        return [*islice(merge(sorted(job for job in unwritten if job > after), written), limit)]

    def queued_jobs(
        self, kinds: Collection[JobKind], now: datetime, min_wait: timedelta, limit: int
    ) -> Sequence[StoredJob]:
        """The jobs that wait for a claim longest: `limit` of each kind and default priority.

        Only jobs of these kinds that have waited for `min_wait` at the time `now`.
        """
        before = now - min_wait
        unwritten = defaultdict[tuple[JobKind, int], list[StoredJob]](list)
        for stored in self._memory.unfinished:
            queued = rows.queued_since(stored.job)
            if queued and queued <= before:
                state = stored.job.state
                unwritten[JobKind.of(state), default_priority(state.invoke_type)].append(stored)
        return [
            stored
            for kind in kinds
            for priority in DEFAULT_PRIORITIES.values()
            for stored in nsmallest(
                limit,
                chain(
                    islice(self._queued_rows(kind, priority, before), limit),
                    unwritten[kind, priority],
                ),
                key=lambda stored: stored.job.state.dispatched_at,
            )
        ]

    def _queued_rows(self, kind: JobKind, priority: int, before: datetime) -> Iterator[StoredJob]:
        """The file's jobs of this kind and priority that wait for a claim, the longest first."""
        found = self._current_rows(
            f"SELECT job_id, {rows.STORED_JOB_COLUMNS} FROM jobs "  # noqa: S608 - no input in it
            "WHERE item_type = ? AND job_type = ? AND priority = ? AND queued_us <= ? "
            "ORDER BY queued_us",
            *astuple(kind),
            priority,
            microseconds(before),
        )
        with self._failure.catch():
            for _, *row in found:
                yield rows.stored_job(*row)

    def held_runs(self) -> Sequence[tuple[Run, str]]:
        """The runs that executors hold, each with its executor's id."""
        found = self._current_rows(
            "SELECT job_id, attempt, executor_id FROM jobs WHERE executor_id IS NOT NULL"
        )
        return [
            *((Run(job_id, attempt), executor_id) for job_id, attempt, executor_id in found),
            *(
                (Run(stored.job.job_id, stored.job.state.attempt), executor_id)
                for stored in self._memory.unfinished
                if (executor_id := rows.holder(stored.job))
            ),
        ]

    def has_room(self, tenant_id: str, limit: int) -> bool:
        """Whether the tenant has fewer than `limit` unfinished jobs."""
        room = limit - self._memory.count_unfinished(tenant_id)
        if room <= 0:
            return False
        where = f"tenant_id = ? AND {UNFINISHED}"
        with self._failure.catch():
            (count,) = self._reader.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {where} LIMIT ?)",  # noqa: S608
                (tenant_id, room),
            ).fetchone()
        if count < room:
            return True
        # Some of the counted rows may be out of date: count only those that are current.
        found = self._current_rows(f"SELECT job_id FROM jobs WHERE {where}", tenant_id)  # noqa: S608
        return len([*islice(found, room)]) < room

    def _current_rows(self, query: str, *values: str | int) -> Iterator[tuple[Any, ...]]:
        """The rows of the query that are not out of date; their first column is the job's id."""
        unwritten = self._memory.unwritten
        with self._failure.catch():
            for row in self._reader.execute(query, values):
                if row[0] not in unwritten:
                    yield row
