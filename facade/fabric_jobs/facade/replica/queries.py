"""What is asked of the file; what looks at more rows than a few, by the thread that writes it."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from fabric_jobs.facade.replica import rows
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.memory import StoredJob


class Backlog(NamedTuple):
    """The jobs that are not final, counted."""

    by_status: Counter[str]
    #: By job type, those that wait for an executor's claim.
    queued: Counter[str]
    #: When the oldest job was accepted that has not started; none without one.
    not_started_since: datetime | None


def named(db: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, StoredJob]:
    """Those of these canonical ids that are jobs; asked for in one, each costs a third."""
    places = ", ".join("?" * len(job_ids))
    found = db.execute(
        f"SELECT job_id, {rows.ENTRY} FROM jobs WHERE job_id IN ({places})",  # noqa: S608
        job_ids,
    )
    return {job_id: rows.entry(*row) for job_id, *row in found}


def listed(
    db: sqlite3.Connection, which: Filter, limit: int, before: tuple[int, str] | None
) -> Sequence[StoredJob]:
    """Jobs, the newest first, behind the place of the page before's last."""
    where, values = which.where()
    if before:
        where += " AND (created_us, job_id) < (?, ?)"
        values += before
    found = db.execute(
        f"SELECT {rows.ENTRY} FROM jobs WHERE {where} "  # noqa: S608 - no input in it
        "ORDER BY created_us DESC, job_id DESC LIMIT ?",
        (*values, limit),
    )
    return [rows.entry(*row) for row in found]


def backlog(db: sqlite3.Connection) -> Backlog:
    """The jobs that are not final; each query is answered by an index alone."""
    # The index of statuses has no job that is completed: each query says so, to be given it.
    by_status = db.execute(
        "SELECT status, count(*) FROM jobs WHERE status IN ('NotStarted', 'InProgress') "
        "AND status <> 'Completed' GROUP BY status"
    )
    queued: Counter[str] = Counter()
    for job_type, count in db.execute(
        "SELECT job_type, count(*) FROM jobs WHERE queued_us IS NOT NULL "
        "GROUP BY item_type, job_type"
    ):
        queued[job_type] += count
    (oldest_us,) = db.execute(
        "SELECT min(created_us) FROM jobs WHERE status = 'NotStarted' AND status <> 'Completed'"
    ).fetchone()
    since = None if oldest_us is None else datetime.fromtimestamp(oldest_us / 1e6, UTC)
    return Backlog(Counter(dict(by_status)), queued, since)
