"""What is put may wait in memory; a file is the fold of a prefix of the log all the same."""

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from fabric_jobs import events
from facade.lifecycle import LONGEST_LIFE, Job, RequestCancel, Verdict, fold
from facade.log import Checkpoint
from facade.replica import Entry, Filter, Identity, Store
from facade.replica.memory import MOST_WAITING, MOST_WAITING_BYTES, SMALL_BYTES
from tests.unit.lifecycle.builders import decided, request, stamp

HERE = 0
IDENTITY = Identity(cluster_id="c", topic="t", partitions=1)


def entry(number: int, first_ms: int = 1000) -> Entry:
    """A job that waits, whose only record stands at this offset."""
    event: events.Event = decided(None, request(f"job-{number}"), stamp(f"event-{number}"))
    verdict, job = fold(None, event)
    assert verdict is Verdict.APPLIED
    assert isinstance(job, Job)
    return Entry(job, HERE, number, first_ms)


def opened(path: Path) -> Store:
    """A store of the one log."""
    store = Store(path)
    store.adopt(IDENTITY)
    return store


def put(store: Store, *entries: Entry, expired_ms: int = 0) -> None:
    """The entries are put, with the checkpoint behind the last."""
    last = entries[-1].offset
    store.put(entries, {HERE: Checkpoint(last + 1, last, 0)}, {HERE: expired_ms})


def kept(path: Path) -> tuple[set[str], list[tuple[int, int]]]:
    """The jobs and checkpoints that a process would find that took the file's place."""
    copy = path.with_name("copy")
    for suffix in ("", "-wal"):
        if (found := path.with_name(path.name + suffix)).exists():
            copy.with_name(copy.name + suffix).write_bytes(found.read_bytes())
    with closing(sqlite3.connect(copy)) as db:
        jobs = {job_id for (job_id,) in db.execute("SELECT job_id FROM jobs")}
        return jobs, db.execute("SELECT partition, position FROM checkpoints").fetchall()


def test_a_job_is_had_before_and_after_it_is_written(tmp_path: Path) -> None:
    """A reader of one job can't tell whether it waits."""
    store = opened(tmp_path / "rows")
    put(store, one := entry(1))
    assert store.get(one.job.job_id) == one
    assert store.list(Filter(), 10) == [one]
    assert store.get(one.job.job_id) == one
    put(store, entry(2))
    assert len(store.list(Filter(), 10)) == 2
    assert store.get(one.job.job_id) == one
    store.close()


def test_what_waits_is_in_the_file_with_its_checkpoint_or_not_at_all(tmp_path: Path) -> None:
    """A process that dies leaves no job without its checkpoint, nor the other way round."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, entry(1))
    assert kept(path) == (set(), [])
    store.list(Filter(), 1)
    put(store, entry(2))
    assert kept(path) == ({"job-1"}, [(HERE, 2)])
    store.close()
    assert kept(path) == ({"job-1", "job-2"}, [(HERE, 3)])


def test_only_so_many_wait(tmp_path: Path) -> None:
    """Memory is bounded where nobody asks for anything."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, *map(entry, range(MOST_WAITING)))
    assert len(kept(path)[0]) == MOST_WAITING
    store.close()


def test_so_much_of_payloads_waits(tmp_path: Path) -> None:
    """A few jobs with much in them are as many with little."""
    path = tmp_path / "rows"
    store = opened(path)
    large = entry(1)
    job = replace(large.job, payload=b" " * MOST_WAITING_BYTES)
    put(store, large._replace(job=job))
    assert kept(path)[0] == {"job-1"}
    job = replace(large.job, payload=b" " * (MOST_WAITING_BYTES - 1))
    for _ in range(3):
        put(store, large._replace(job=job, offset=2))
    assert kept(path)[1] == [(HERE, 2)]
    store.close()


def test_a_job_that_was_looked_up_is_the_newest_all_the_same(tmp_path: Path) -> None:
    """However often it changes and is written, and however large it is."""
    store = opened(tmp_path / "rows")
    small, large = entry(1), entry(2)
    large = large._replace(job=replace(large.job, payload=b" " * (SMALL_BYTES + 1)))
    for number in range(3, 6):
        put(store, small, large, entry(number))
        store.list(Filter(), 1)
        put(store, entry(number))
        store.list(Filter(), 1)
        assert [store.get(f"job-{each}") for each in (1, 2)] == [small, large]
        small, large = (each._replace(offset=number) for each in (small, large))
    store.close()


def test_an_id_that_was_asked_for_in_vain_is_a_job_once_it_is_one(tmp_path: Path) -> None:
    """Whoever creates a job asks for it before."""
    store = opened(tmp_path / "rows")
    assert store.get("job-1") is None
    assert store.get("job-1") is None
    put(store, one := entry(1))
    assert store.get("job-1") == one
    store.list(Filter(), 1)
    put(store, entry(2))
    store.list(Filter(), 1)
    assert store.get("job-1") == one
    store.close()


def test_what_is_due_is_found_whether_it_waits_or_not(tmp_path: Path) -> None:
    """And what has changed since it was written is looked at as it is."""
    store = opened(tmp_path / "rows")
    put(store, one := entry(1), entry(2))
    late = one.job.state.create_time + LONGEST_LIFE
    assert sorted(store.due(late, 10)) == ["job-1", "job-2"]
    store.list(Filter(), 1)
    assert sorted(store.due(late, 10)) == ["job-1", "job-2"]
    assert len(store.due(late, 1)) == 1
    assert store.due(one.job.state.create_time, 10) == []
    event = decided(one.job, RequestCancel(job_id="job-1"), stamp("cancel"))
    _, cancelled = fold(one.job, event)
    assert cancelled
    put(store, one._replace(job=cancelled, offset=3))
    assert store.due(late, 10) == ["job-2"]
    # A row that is out of date takes no other's place.
    assert store.due(late, 1) == ["job-2"]
    store.close()


def test_a_job_that_is_too_old_is_gone_at_once_whether_it_waited_or_not(tmp_path: Path) -> None:
    """Replicas forget a job at the same place in the log, whatever they have written."""
    store = opened(tmp_path / "rows")
    put(store, entry(1, first_ms=1000))
    store.list(Filter(), 1)
    put(store, entry(2, first_ms=1001), entry(3, first_ms=5000))
    put(store, entry(4, first_ms=6000), expired_ms=1001)

    assert [store.get(f"job-{number}") is None for number in range(1, 5)] == [
        True,
        True,
        False,
        False,
    ]
    store.close()


def test_what_is_dropped_with_its_log_does_not_come_back(tmp_path: Path) -> None:
    """A log that is read anew begins with nothing."""
    store = opened(tmp_path / "rows")
    put(store, entry(1))
    store.clear()

    assert store.get("job-1") is None
    assert store.list(Filter(), 10) == []
    assert store.checkpoints() == {}
    store.close()
