"""What differs between a replica, a fold and the model."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Replica, Store
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.chaos import replicas
from tests.chaos.cluster import PARTITIONS
from tests.chaos.model import Model
from tests.support.lifecycle import JOB, WAYS, apply_event, decide_event, stamp
from tests.support.records import record_of

HERE = partition_of(JOB, PARTITIONS)


def records() -> list[Record]:
    """A job's events, as they lie on the topic."""
    found, job = [], None
    for sequence, command in enumerate(WAYS["cancelled"], 1):
        event = decide_event(job, command, stamp(f"e{sequence}", sequence))
        job = apply_event(job, event)
        found.append(record_of(event, sequence - 1, partition=HERE, time_ms=1000 * sequence))
    return found


def kept(folder: Path, found: list[Record]) -> Path:
    """A replica that has read these records, and ended."""
    folder.mkdir()
    store = Store(folder / replicas.FILE)
    Replica(store, PARTITIONS).apply(found, {HERE: len(found)})
    store.close()
    return folder


def model_of(found: list[Record]) -> Model:
    """The model that has read these records."""
    model = Model()
    for record in found:
        model.read(record.partition, record.offset, record.value)
    return model


def test_replica_with_the_same_fold_has_no_difference(tmp_path: Path) -> None:
    """A replica that has not read everything is compared with a fold up to its position."""
    found = records()
    whole, part = kept(tmp_path / "whole", found), kept(tmp_path / "part", found[:1])
    scratch = tmp_path / "scratch"

    assert list(replicas.differences(whole, found, scratch)) == []
    assert list(replicas.differences(part, found, scratch)) == []
    assert list(replicas.disagreements(model_of(found), found, scratch)) == []


@pytest.mark.parametrize(
    "change", ["UPDATE jobs SET attempt = 9", "UPDATE jobs SET due_us = 1", "DELETE FROM jobs"]
)
def test_replica_with_a_differing_row_is_reported(tmp_path: Path, change: str) -> None:
    """One column differs, or the row is missing."""
    found = records()
    folder = kept(tmp_path / "replica", found)
    with closing(sqlite3.connect(folder / replicas.FILE)) as db:
        db.execute(change)
        db.commit()

    (difference,) = replicas.differences(folder, found, tmp_path / "scratch")

    assert difference.startswith(f"{JOB}: replica keeps")


def test_replica_whose_fold_differs_from_the_model_is_reported(tmp_path: Path) -> None:
    """The model has read another end of the job."""
    found = records()
    other = json.loads(found[-1].value or b"")
    other["data"]["state"]["status"] = "Failed"
    model = model_of([*found[:-1], replace(found[-1], value=json.dumps(other).encode())])

    assert len(list(replicas.disagreements(model, found, tmp_path / "scratch"))) == 1
