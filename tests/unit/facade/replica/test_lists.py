"""Lists of jobs: the jobs that each filter selects, and the index that finds them."""

import re
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
from tests.support.lifecycle import EPOCH, drive, request

IDENTITY = Identity(cluster_id="c", topic="t", partitions=1)
FIRST = drive([request()])


def job(number: int, **changes: object) -> Job:
    """A job whose id is this number, accepted this many seconds after `EPOCH`."""
    state: JobState = replace(FIRST.state, create_time=EPOCH + timedelta(seconds=number))
    return replace(FIRST, job_id=str(uuid.UUID(int=number)), state=replace(state, **changes))


def numbers(stored_jobs: object) -> list[int]:
    """The ids of the listed jobs, as numbers."""
    assert isinstance(stored_jobs, list)
    return [uuid.UUID(stored.job.job_id).int for stored in stored_jobs]


@pytest.fixture
def store() -> Store:
    """A store of eight jobs: two workspaces, four items, two item types, two job types."""
    new = Store(None)
    new.adopt(IDENTITY)
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
            tenant_id=f"c{number // 6}",
            executor_id=f"e{number % 3}",
        )
        for number, status in enumerate(statuses)
    ]
    new.put([StoredJob(each, 0, 0, 0) for each in jobs], {}, {})
    new.index_for_lists().result()
    return new


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
        (Filter(tenant_id="c1"), [7, 6]),
        (Filter(executor_id="e1"), [7, 4, 1]),
        (Filter(executor_id="e1", tenant_id="c0", statuses=(Status.CANCELLED,)), [4]),
        (Filter(job_id_prefix="0000"), [7, 6, 5, 4, 3, 2, 1, 0]),
        (Filter(job_id_prefix=str(uuid.UUID(int=5))), [5]),
        (Filter(job_id_prefix="0001"), []),
        (Filter(start_create_time=EPOCH + timedelta(seconds=6)), [7, 6]),
        (Filter(end_create_time=EPOCH + timedelta(seconds=2)), [1, 0]),
        (Filter(workspace_id="w1", statuses=(Status.FAILED,), job_type="j1"), [5]),
        (Filter(workspace_id="w1", statuses=(Status.COMPLETED,), item_type="t1"), [7]),
        (Filter(item_id="i3", exhausted=True, start_create_time=EPOCH), [3]),
        (Filter(item_id="i1", workspace_id="w0"), []),
    ],
    ids=repr,
)
def test_list_returns_the_jobs_that_match_every_field_newest_first(
    store: Store, which: Filter, expected: list[int]
) -> None:
    """Each further field narrows the list. `Filter.fits` selects the same jobs."""
    fits = [stored for stored in store.list(Filter(), 10).result() if which.fits(stored.job)]

    assert numbers(store.list(which, 10).result()) == expected
    assert numbers(fits) == expected


def test_list_with_before_continues_after_the_last_job_of_the_page(store: Store) -> None:
    """The second page has the jobs that follow the first page's last one, with the same filter."""
    which = Filter(workspace_id="w1")
    first = store.list(which, 2).result()
    last = first[-1].job

    assert numbers(first) == [7, 5]
    assert numbers(store.list(which, 2, (created_us(last), last.job_id)).result()) == [3, 1]


def test_list_finds_a_job_that_has_just_become_exhausted(store: Store) -> None:
    """The columns of an existing row change with the job's state."""
    store.put([StoredJob(job(1, exhausted=True), 0, 1, 0)], {}, {})

    assert numbers(store.list(Filter(exhausted=True), 10).result()) == [3, 1]


def test_list_with_oldest_first_is_the_list_in_reverse(store: Store) -> None:
    """A page continues after the last job of the page before, too."""
    which = Filter(workspace_id="w1")
    first = store.list(which, 2, oldest_first=True).result()
    last = first[-1].job
    rest = store.list(which, 9, (created_us(last), last.job_id), oldest_first=True).result()

    assert (numbers(first), numbers(rest)) == ([1, 3], [5, 7])


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
        (Filter(tenant_id="c"), "jobs_by_tenant"),
        (Filter(executor_id="e"), "jobs_by_executor"),
        (Filter(exhausted=True), "jobs_exhausted"),
        (Filter(unreplaced=True), "jobs_by_age"),
        (Filter(unreplaced=True, statuses=(Status.FAILED,), job_type="j"), "jobs_by_status"),
        (Filter(unreplaced=True, exhausted=True, item_type="t"), "jobs_exhausted"),
        (Filter(item_id="i", workspace_id="w", exhausted=True, job_type="j"), "jobs_by_item"),
        (Filter(workspace_id="w", statuses=(Status.FAILED,)), "jobs_by_workspace"),
        (Filter(workspace_id="w", statuses=(Status.COMPLETED,)), "jobs_by_workspace"),
        (Filter(statuses=(Status.NOT_STARTED,), job_type="j", item_type="t"), "jobs_by_status"),
        (Filter(statuses=(Status.COMPLETED,), job_type="j", item_type="t"), "jobs_by_type"),
    ],
    ids=repr,
)
def test_list_uses_the_index_of_its_most_selective_field(
    store: Store, which: Filter, index: str
) -> None:
    """SQLite reads that index alone, and sorts only jobs of the same microsecond by id."""
    where, values = which.where()
    plan = store._db.reader.execute(
        f"EXPLAIN QUERY PLAN SELECT job FROM jobs WHERE {where} "
        "ORDER BY created_us DESC, job_id DESC LIMIT 50",
        values,
    ).fetchall()
    step, *replaced, sorting = (detail for *_, detail in plan)

    assert f"USING INDEX {index}" in step
    # For each job that SQLite reads, it looks up whether another job is its retry.
    assert all("INDEX jobs_by_retry" in one or "SUBQUERY" in one for one in replaced)
    assert bool(replaced) is (which.exhausted or which.unreplaced)
    # The words of SQLite before 3.44, and since.
    assert re.fullmatch(r"USE TEMP B-TREE FOR (RIGHT PART|LAST TERM) OF ORDER BY", sorting)


def test_adopt_recreates_the_tables_of_another_version(tmp_path: Path) -> None:
    """A file with the tables of an earlier version takes the rows of this one."""
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


def test_job_that_another_job_has_replaced_is_listed_neither_as_exhausted_nor_as_unreplaced(
    tmp_path: Path,
) -> None:
    """The newest retry takes its place. A retry that is exhausted itself is listed.

    The replaced job does not count against the limit of a list of unreplaced jobs.
    """
    store = Store(tmp_path / "replica.sqlite")
    store.adopt(IDENTITY)
    old_id = job(0).job_id
    old, first, second, other = (
        StoredJob(job(number, exhausted=True, retry_of=of), 0, number, 0)
        for number, of in enumerate((None, old_id, old_id, None))
    )
    store.put([old, other], {}, {})
    assert len(store.list(Filter(exhausted=True), 10).result()) == 2
    store.put([first, second], {}, {})
    exhausted = store.list(Filter(exhausted=True), 10).result()
    unreplaced = store.list_ids(Filter(unreplaced=True), 2).result()
    found = store.replacements([one.job.job_id for one in (old, first, other)]).result()

    assert {one.job.job_id for one in exhausted} == {
        one.job.job_id for one in (first, second, other)
    }
    assert unreplaced == [one.job.job_id for one in (first, second)]
    assert found == {old_id: second.job.job_id}
    assert len(store.list(Filter(), 10).result()) == 4
    store.close()
