"""Converts a job to its row and back: the columns that queries use, and the job itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain

import msgspec

from fabric_jobs.contract.dispatch_order import default_priority
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import Job, next_deadline
from fabric_jobs.facade.replica.filter import created_us, microseconds
from fabric_jobs.facade.replica.stored_job import StoredJob

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Job)

#: The columns that `stored_job` takes, in its order.
STORED_JOB_COLUMNS = "job, partition, last_offset, first_ms"
_COLUMNS = (
    "job_id, partition, first_ms, created_us, tenant_id, workspace_id, item_id, item_type, "
    "job_type, status, exhausted, priority, queued_us, due_us, executor_id, last_executor_id, "
    "attempt, last_offset, retry_of, job"
)
#: The columns that change during a job's life.
_CHANGING_COLUMNS = (
    "status",
    "exhausted",
    "queued_us",
    "due_us",
    "executor_id",
    "last_executor_id",
    "attempt",
    "last_offset",
    "job",
)


def upsert_statement(rows: int) -> str:
    """The SQL that inserts or updates this many rows; `row_values` gives its parameters."""
    row = ", ".join("?" * len(_COLUMNS.split(",")))
    values = ", ".join([f"({row})"] * rows)
    changes = ", ".join(f"{column} = excluded.{column}" for column in _CHANGING_COLUMNS)
    return (
        f"INSERT INTO jobs ({_COLUMNS}) VALUES {values} "  # noqa: S608 - no input in it
        f"ON CONFLICT (job_id) DO UPDATE SET {changes}"
    )


def row_values(
    stored_jobs: Sequence[StoredJob], longest_life: timedelta
) -> Sequence[str | int | bytes | None]:
    """The values of the jobs' rows in one flat sequence, row after row."""
    return [*chain.from_iterable(_row(stored, longest_life) for stored in stored_jobs)]


def stored_job(job: bytes, partition: int, offset: int, first_ms: int) -> StoredJob:
    """The job of a row, from its `STORED_JOB_COLUMNS`."""
    return StoredJob(_DECODER.decode(job), partition, offset, first_ms)


def queued_since(job: Job) -> datetime | None:
    """Since when the job waits for an executor's claim; None if it does not wait for one."""
    state = job.state
    # A job that is undecidable here can't be claimed here, so it is not offered either.
    is_queued = state.phase is JobPhase.QUEUED and job.decidable
    return state.dispatched_at if is_queued else None


def holder(job: Job) -> str | None:
    """The id of the executor that runs the job; None if none does."""
    return job.state.executor_id if job.state.held else None


def _row(stored: StoredJob, longest_life: timedelta) -> tuple[str | int | bytes | None, ...]:
    job, state = stored.job, stored.job.state
    queued, deadline = queued_since(job), next_deadline(job, longest_life)
    return (
        job.job_id,
        stored.partition,
        stored.first_ms,
        created_us(job),
        state.tenant_id,
        state.workspace_id,
        state.item_id,
        state.item_type,
        state.job_type,
        # Plain types: for a subclass such as an enum, sqlite3 looks for an adapter each time.
        str(state.status),
        int(state.exhausted),
        default_priority(state.invoke_type),
        microseconds(queued) if queued else None,
        microseconds(deadline.time) if deadline else None,
        holder(job),
        state.executor_id,
        state.attempt,
        stored.offset,
        state.retry_of,
        _ENCODER.encode(job),
    )
