"""Queries of the file alone, without the jobs in memory."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.database import UNFINISHED
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.stored_job import StoredJob

#: SQLite before 3.32 takes at most 999 values in a query.
MAX_VALUES = 900


class Backlog(NamedTuple):
    """The numbers of jobs that are not final."""

    by_status: Counter[str]
    #: By type, the jobs that wait for an executor's claim.
    queued: Counter[JobKind]
    #: When the oldest job that has not started was accepted; None if all have started.
    not_started_since: datetime | None


class UnfinishedType(NamedTuple):
    """The jobs of one type that are not final and have the same status."""

    kind: JobKind
    status: JobInstanceStatus
    jobs: int
    #: When the oldest of them was accepted.
    oldest_create_time: datetime


def find_jobs(db: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, StoredJob]:
    """The jobs with these canonical ids; ids without a job are left out.

    One query for many ids costs a third of a query for each.
    """
    places = ", ".join("?" * len(job_ids))
    found = db.execute(
        f"SELECT job_id, {rows.STORED_JOB_COLUMNS} "  # noqa: S608 - no input in it
        f"FROM jobs WHERE job_id IN ({places})",
        job_ids,
    )
    return {job_id: rows.stored_job(*row) for job_id, *row in found}


def list_jobs(
    db: sqlite3.Connection,
    which: Filter,
    limit: int,
    before: tuple[int, str] | None,
    *,
    oldest_first: bool = False,
) -> Sequence[StoredJob]:
    """At most `limit` jobs that match the filter, the newest or the oldest first.

    `before` continues a list: the creation time (microseconds since 1970) and the id of the last
    job of the previous page. It is None for the first page.
    """
    where, values = which.where()
    comparison, order = (">", "ASC") if oldest_first else ("<", "DESC")
    if before:
        where += f" AND (created_us, job_id) {comparison} (?, ?)"
        values += before
    found = db.execute(
        f"SELECT {rows.STORED_JOB_COLUMNS} FROM jobs WHERE {where} "  # noqa: S608 - no input in it
        f"ORDER BY created_us {order}, job_id {order} LIMIT ?",
        (*values, limit),
    )
    return [rows.stored_job(*row) for row in found]


def list_job_ids(db: sqlite3.Connection, which: Filter, limit: int) -> Sequence[str]:
    """The ids of at most `limit` jobs that match the filter, the oldest first."""
    where, values = which.where()
    found = db.execute(
        f"SELECT job_id FROM jobs WHERE {where} ORDER BY created_us, job_id LIMIT ?",  # noqa: S608
        (*values, limit),
    )
    return [job_id for (job_id,) in found]


def find_replacements(db: sqlite3.Connection, job_ids: Sequence[str]) -> Mapping[str, str]:
    """The id of the newest job that took the place of each of these jobs; others are left out."""
    found: dict[str, str] = {}
    for portion in range(0, len(job_ids), MAX_VALUES):
        ids = job_ids[portion : portion + MAX_VALUES]
        places = ", ".join("?" * len(ids))
        found |= db.execute(
            f"SELECT retry_of, job_id FROM jobs WHERE retry_of IN ({places}) "  # noqa: S608
            "ORDER BY created_us",
            ids,
        ).fetchall()
    return found


def count_backlog(db: sqlite3.Connection) -> Backlog:
    """Counts the jobs that are not final; an index answers each query without reading rows."""
    # The index of statuses contains no completed jobs. SQLite uses it only if a query says so too.
    by_status = db.execute(
        f"SELECT status, count(*) FROM jobs WHERE {UNFINISHED} "  # noqa: S608 - no input in it
        "AND status <> 'Completed' GROUP BY status"
    )
    queued = Counter[JobKind]()
    for item_type, job_type, count in db.execute(
        "SELECT item_type, job_type, count(*) FROM jobs WHERE queued_us IS NOT NULL "
        "GROUP BY item_type, job_type"
    ):
        queued[JobKind(item_type, job_type)] = count
    (oldest_us,) = db.execute(
        "SELECT min(created_us) FROM jobs WHERE status = 'NotStarted' AND status <> 'Completed'"
    ).fetchone()
    since = None if oldest_us is None else _time_of(oldest_us)
    return Backlog(Counter(dict(by_status)), queued, since)


def count_unfinished_types(db: sqlite3.Connection) -> Sequence[UnfinishedType]:
    """Counts the jobs that are not final, by type and status; reads the rows of those jobs only."""
    found = db.execute(
        "SELECT item_type, job_type, status, count(*), min(created_us) "  # noqa: S608
        f"FROM jobs WHERE {UNFINISHED} AND status <> 'Completed' "
        "GROUP BY item_type, job_type, status"
    )
    return [
        UnfinishedType(
            JobKind(item_type, job_type),
            JobInstanceStatus(status),
            count,
            _time_of(oldest_us),
        )
        for item_type, job_type, status, count, oldest_us in found
    ]


def _time_of(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)
