"""Compares each replica's rows with a fresh fold of the topic, and the fold with the model."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Replica, Store
from tests.chaos.cluster import PARTITIONS
from tests.chaos.model import Model

FILE = "replica.sqlite"
#: Records folded in one transaction.
BATCH = 500

Rows = dict[str, dict[str, Any]]


def differences(
    state_dir: Path, records: Sequence[Record], scratch: Path, partitions: int = PARTITIONS
) -> Iterator[str]:
    """Rows of a stopped replica that differ from a fold of the records that the replica has read.

    `scratch` is the path of the fold's temporary file.
    """
    with closing(sqlite3.connect(state_dir / FILE)) as db:
        kept = _rows(db)
        stands = dict(db.execute("SELECT partition, position FROM checkpoints"))
    read = [one for one in records if one.offset < stands.get(one.partition, 0)]
    folded = _folded(read, scratch, partitions)
    for job in sorted(kept.keys() | folded.keys()):
        if kept.get(job) != folded.get(job):
            yield f"{job}: {state_dir.name} keeps {kept.get(job)}, a fold gives {folded.get(job)}"


def disagreements(
    model: Model, records: Sequence[Record], scratch: Path, partitions: int = PARTITIONS
) -> Iterator[str]:
    """Jobs whose sequence, last event or state differ between a fold of the topic and the model."""
    folded = {job: _as_model(row) for job, row in _folded(records, scratch, partitions).items()}
    known = {
        job: (found.number, found.event_id, found.state)
        for job, found in model.jobs.items()
        if found.applied
    }
    for job in sorted(folded.keys() | known.keys()):
        if folded.get(job) != known.get(job):
            yield f"{job}: a fold gives {folded.get(job)}, the model {known.get(job)}"


def _folded(records: Sequence[Record], scratch: Path, partitions: int) -> Rows:
    """The rows of a new replica that reads these records."""
    scratch.unlink(missing_ok=True)
    store = Store(scratch)
    try:
        replica = Replica(store, partitions)
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            replica.apply(batch, {one.partition: one.offset + 1 for one in batch})
    finally:
        store.close()
    with closing(sqlite3.connect(scratch)) as db:
        return _rows(db)


def _rows(db: sqlite3.Connection) -> Rows:
    db.row_factory = sqlite3.Row
    rows = {row["job_id"]: dict(row) for row in db.execute("SELECT * FROM jobs")}
    db.row_factory = None
    return rows


def _as_model(row: dict[str, Any]) -> tuple[int, str, dict[str, Any]]:
    job = msgspec.msgpack.decode(row["job"], type=Job)
    return job.sequence, job.event_id, json.loads(msgspec.json.encode(job.state))
