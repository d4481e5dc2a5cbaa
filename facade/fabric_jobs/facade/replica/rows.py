"""A job as a row: what is looked for by, and the job itself."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

import msgspec

from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import Job, due
from fabric_jobs.facade.replica.filter import created_us, microseconds
from fabric_jobs.facade.replica.memory import StoredJob

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Job)

#: The columns of which an entry is made.
ENTRY = "job, partition, last_offset, first_ms"
#: The columns of a row, and those of them that change in a job's life.
_COLUMNS = (
    "job_id, partition, first_ms, created_us, tenant_id, workspace_id, item_id, item_type, "
    "job_type, status, exhausted, queued_us, due_us, executor_id, attempt, last_offset, job"
)
_CHANGING = (
    "status",
    "exhausted",
    "queued_us",
    "due_us",
    "executor_id",
    "attempt",
    "last_offset",
    "job",
)


def put(rows: int) -> str:
    """The statement that takes so many rows, whose values are given one row after the other."""
    row = ", ".join("?" * len(_COLUMNS.split(",")))
    values = ", ".join([f"({row})"] * rows)
    changes = ", ".join(f"{column} = excluded.{column}" for column in _CHANGING)
    return (
        f"INSERT INTO jobs ({_COLUMNS}) VALUES {values} "  # noqa: S608 - no input in it
        f"ON CONFLICT (job_id) DO UPDATE SET {changes}"
    )


def values(entries: Sequence[StoredJob]) -> Sequence[str | int | bytes | None]:
    """The values of the jobs' rows, one row after the other."""
    return [*chain.from_iterable(map(_row, entries))]


def entry(job: bytes, *place: int) -> StoredJob:
    """The job of the columns of `ENTRY`."""
    return StoredJob(_DECODER.decode(job), *place)


def queued_at(job: Job) -> datetime | None:
    """Since when it waits for an executor's claim; none if it does not."""
    state = job.state
    # Claims are decided only upon events that are known here.
    waits = state.phase is JobPhase.QUEUED and job.decidable
    return state.dispatch_time or state.create_time if waits else None


def holder(job: Job) -> str | None:
    """The executor that runs it."""
    return job.state.executor_id if job.state.held else None


def _row(entry: StoredJob) -> tuple[str | int | bytes | None, ...]:
    job, state = entry.job, entry.job.state
    queued, what = queued_at(job), due(job)
    return (
        job.job_id,
        entry.partition,
        entry.first_ms,
        created_us(job),
        state.tenant_id,
        state.workspace_id,
        state.item_id,
        state.item_type,
        state.job_type,
        # As SQLite has them: it would look for an adapter of another type, for each.
        str(state.status),
        int(state.exhausted),
        microseconds(queued) if queued else None,
        microseconds(what.time) if what else None,
        holder(job),
        state.attempt,
        entry.offset,
        _ENCODER.encode(job),
    )
