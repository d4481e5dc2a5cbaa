"""Helpers for tests of the store: jobs, a store, and what its file has."""

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.facade.lifecycle import Command, Job, Verdict, fold
from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import Filter, Identity, Store, StoredJob
from tests.support.lifecycle import decide_event, request, stamp

HERE = 0
IDENTITY = Identity(cluster_id="c", topic="t", partitions=1)


def stored_job(number: int, first_ms: int = 1000) -> StoredJob:
    """A queued job, whose only record has this number as its offset."""
    event: events.Event = decide_event(None, request(f"job-{number}"), stamp(f"event-{number}"))
    verdict, job = fold(None, event)
    assert verdict is Verdict.APPLIED
    assert isinstance(job, Job)
    return StoredJob(job, HERE, number, first_ms)


def open_store(path: Path) -> Store:
    """A store with the file's content, for the log of all these tests."""
    store = Store(path)
    store.adopt(IDENTITY)
    return store


def put(store: Store, *stored_jobs: StoredJob, expired_ms: int = 0) -> None:
    """Puts the jobs, with the checkpoint after the last of them."""
    last = stored_jobs[-1].offset
    store.put(stored_jobs, {HERE: Checkpoint(last + 1, last, 0)}, {HERE: expired_ms})


def read_file(path: Path) -> tuple[set[str], list[tuple[int, int]]]:
    """The job ids and the checkpoints that the file has now, as another process would find them."""
    with closing(sqlite3.connect(path)) as db:
        jobs = {job_id for (job_id,) in db.execute("SELECT job_id FROM jobs")}
        return jobs, db.execute("SELECT partition, position FROM checkpoints").fetchall()


def flush(store: Store) -> None:
    """Writes the pending jobs: a list is answered only after them."""
    store.list(Filter(), 1).result()


def after_command(stored: StoredJob, command: Command, offset: int) -> StoredJob:
    """The job after the command, whose event has this offset."""
    _, job = fold(stored.job, decide_event(stored.job, command, stamp(f"event-{offset}", offset)))
    assert job
    return replace(stored, job=job, offset=offset)
