"""Lists of jobs: what each filter leaves, and that no filter looks at every row."""

import sqlite3
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.jobs import JobInstanceStatus as Status
from fabric_jobs.contract.jobs import JobState
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.replica import Filter, Identity, Store, StoredJob
from fabric_jobs.facade.replica.filter import created_us
from tests.support.lifecycle import EPOCH, driven, request

IDENTITY = Identity(cluster_id="c", topic="t", partitions=1)
FIRST = driven([request()])


def job(number: int, **changes: object) -> Job:
    """The job of that number, accepted so many seconds into the test."""
    state: JobState = replace(FIRST.state, create_time=EPOCH + timedelta(seconds=number))
    return replace(FIRST, job_id=str(uuid.UUID(int=number)), state=replace(state, **changes))


def numbers(entries: object) -> list[int]:
    """The numbers of the jobs in a list."""
    assert isinstance(entries, list)
    return [uuid.UUID(entry.job.job_id).int for entry in entries]


@pytest.fixture
def store() -> Store:
    """Eight jobs: of two workspaces, four items, two item types, two job types."""
    one = Store(None)
    one.adopt(IDENTITY)
    statuses = [*Status, Status.FAILED, Status.COMPLETED, Status.COMPLETED]
    jobs = [
        job(
            number,
            status=status,
            workspace_id=f"w{number % 2}",
            item_id=f"i{number % 4}",
            item_type=f"t{number // 4}",
            job_type=f"j{number // 4}",
            exhausted=number == 3,
        )
        for number, status in enumerate(statuses)
    ]
    one.put([StoredJob(each, 0, 0, 0) for each in jobs], {}, {})
    one.index_for_lists().result()
    return one


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Filter(), [7, 6, 5, 4, 3, 2, 1, 0]),
        (Filter(statuses=(Status.FAILED,)), [5, 3]),
        (Filter(statuses=(Status.FAILED, Status.CANCELLED)), [5, 4, 3]),
        (Filter(statuses=(Status.COMPLETED, Status.NOT_STARTED)), [7, 6, 2, 0]),
        (Filter(job_type="j1"), [7, 6, 5, 4]),
        (Filter(item_type="t0"), [3, 2, 1, 0]),
        (Filter(workspace_id="w1"), [7, 5, 3, 1]),
        (Filter(item_id="i3"), [7, 3]),
        (Filter(exhausted=True), [3]),
        (Filter(start_create_time=EPOCH + timedelta(seconds=6)), [7, 6]),
        (Filter(end_create_time=EPOCH + timedelta(seconds=2)), [1, 0]),
        (Filter(workspace_id="w1", statuses=(Status.FAILED,), job_type="j1"), [5]),
        (Filter(workspace_id="w1", statuses=(Status.COMPLETED,), item_type="t1"), [7]),
        (Filter(item_id="i3", exhausted=True, start_create_time=EPOCH), [3]),
        (Filter(item_id="i1", workspace_id="w0"), []),
    ],
    ids=repr,
)
def test_a_list_holds_the_jobs_that_fit_every_filter(
    store: Store, which: Filter, expected: list[int]
) -> None:
    """The newest first; filters of different fields narrow each other. One is asked alike."""
    fits = [entry for entry in store.list(Filter(), 10).result() if which.fits(entry.job)]

    assert numbers(store.list(which, 10).result()) == expected
    assert numbers(fits) == expected


def test_a_page_begins_behind_the_last_job_of_the_one_before(store: Store) -> None:
    """With the same filter."""
    which = Filter(workspace_id="w1")
    first = store.list(which, 2).result()
    last = first[-1].job

    assert numbers(first) == [7, 5]
    assert numbers(store.list(which, 2, (created_us(last), last.job_id)).result()) == [3, 1]


def test_an_exhausted_job_is_found_as_soon_as_it_is(store: Store) -> None:
    """The row of a job that was there before changes with its state."""
    store.put([StoredJob(job(1, exhausted=True), 0, 1, 0)], {}, {})

    assert numbers(store.list(Filter(exhausted=True), 10).result()) == [3, 1]


@pytest.mark.parametrize(
    ("which", "index"),
    [
        (Filter(), "jobs_by_age"),
        (Filter(start_create_time=EPOCH), "jobs_by_age"),
        (Filter(statuses=(Status.FAILED,)), "jobs_by_status"),
        (Filter(statuses=(Status.COMPLETED,)), "jobs_by_age"),
        (Filter(job_type="j"), "jobs_by_type"),
        (Filter(item_type="t"), "jobs_by_item_type"),
        (Filter(workspace_id="w"), "jobs_by_workspace"),
        (Filter(item_id="i"), "jobs_by_item"),
        (Filter(exhausted=True), "jobs_exhausted"),
        (Filter(item_id="i", workspace_id="w", exhausted=True, job_type="j"), "jobs_by_item"),
        (Filter(workspace_id="w", statuses=(Status.FAILED,)), "jobs_by_workspace"),
        (Filter(workspace_id="w", statuses=(Status.COMPLETED,)), "jobs_by_workspace"),
        (Filter(statuses=(Status.NOT_STARTED,), job_type="j", item_type="t"), "jobs_by_status"),
        (Filter(statuses=(Status.COMPLETED,), job_type="j", item_type="t"), "jobs_by_type"),
    ],
    ids=repr,
)
def test_every_list_is_found_in_order_by_the_index_that_leaves_the_fewest(
    store: Store, which: Filter, index: str
) -> None:
    """By the index of the narrowest filter alone; only jobs of one microsecond are sorted by id."""
    where, values = which.where()
    plan = store._db.reader.execute(
        f"EXPLAIN QUERY PLAN SELECT job FROM jobs WHERE {where} "
        "ORDER BY created_us DESC, job_id DESC LIMIT 50",
        values,
    ).fetchall()
    step, sorting = (detail for *_, detail in plan)

    assert f"USING INDEX {index}" in step
    assert sorting == "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"


def test_rows_of_another_version_s_form_are_made_anew(tmp_path: Path) -> None:
    """A file that an earlier version left takes the rows of this one."""
    path = tmp_path / "replica.sqlite"
    old = Store(path)
    old.adopt(replace(IDENTITY, fold_version=0))
    old.close()
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE jobs; CREATE TABLE jobs (job_id TEXT PRIMARY KEY);")
    db.close()

    new = Store(path)
    new.adopt(IDENTITY)
    new.put([StoredJob(job(1), 0, 0, 0)], {}, {})
    assert numbers(new.list(Filter(), 10).result()) == [1]
    new.close()
