"""What is put may wait in memory; a file is the fold of a prefix of the log all the same."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.lifecycle import MAX_LIFE, Command, Job, RequestCancel, Verdict, fold
from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import Filter, Identity, Store, StoredJob
from fabric_jobs.facade.replica.memory import MAX_WAITING, MAX_WAITING_BYTES, SMALL_BYTES
from tests.support.lifecycle import A, claim, decided, request, stamp

HERE = 0
IDENTITY = Identity(cluster_id="c", topic="t", partitions=1)
OF_LISTS = {
    "jobs_by_age",
    "jobs_by_type",
    "jobs_by_item_type",
    "jobs_by_workspace",
    "jobs_by_item",
}


def entry(number: int, first_ms: int = 1000) -> StoredJob:
    """A job that waits, whose only record stands at this offset."""
    event: events.Event = decided(None, request(f"job-{number}"), stamp(f"event-{number}"))
    verdict, job = fold(None, event)
    assert verdict is Verdict.APPLIED
    assert isinstance(job, Job)
    return StoredJob(job, HERE, number, first_ms)


def opened(path: Path) -> Store:
    """A store of the one log."""
    store = Store(path)
    store.adopt(IDENTITY)
    return store


def put(store: Store, *entries: StoredJob, expired_ms: int = 0) -> None:
    """The entries are put, with the checkpoint behind the last."""
    last = entries[-1].offset
    store.put(entries, {HERE: Checkpoint(last + 1, last, 0)}, {HERE: expired_ms})


def kept(path: Path) -> tuple[set[str], list[tuple[int, int]]]:
    """The jobs and checkpoints that a process would find that took the file's place."""
    with closing(sqlite3.connect(path)) as db:
        jobs = {job_id for (job_id,) in db.execute("SELECT job_id FROM jobs")}
        return jobs, db.execute("SELECT partition, position FROM checkpoints").fetchall()


def indexes(path: Path) -> set[str]:
    """The indexes that the file has."""
    with closing(sqlite3.connect(path)) as db:
        return {
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            if name.startswith("jobs_")
        }


def write(store: Store) -> None:
    """What waits is in the file once a question was answered behind it."""
    store.list(Filter(), 1).result()


def changed(one: StoredJob, command: Command, offset: int) -> StoredJob:
    """The job after the command."""
    _, job = fold(one.job, decided(one.job, command, stamp(f"event-{offset}", offset)))
    assert job
    return replace(one, job=job, offset=offset)


def test_a_job_is_had_before_and_after_it_is_written(tmp_path: Path) -> None:
    """A reader of one job can't tell whether it waits."""
    store = opened(tmp_path / "rows")
    put(store, one := entry(1))
    assert store.get(one.job.job_id) == one
    assert store.list(Filter(), 10).result() == [one]
    assert store.get(one.job.job_id) == one
    put(store, entry(2))
    assert len(store.list(Filter(), 10).result()) == 2
    assert store.get(one.job.job_id) == one
    store.close()


def test_what_waits_is_in_the_file_with_its_checkpoint_or_not_at_all(tmp_path: Path) -> None:
    """A process that dies leaves no job without its checkpoint, nor the other way round."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, entry(1))
    assert kept(path) == (set(), [])
    write(store)
    put(store, entry(2))
    assert kept(path) == ({"job-1"}, [(HERE, 2)])
    store.close()
    assert kept(path) == ({"job-1", "job-2"}, [(HERE, 3)])


def test_only_so_many_wait(tmp_path: Path) -> None:
    """Memory is bounded where nobody asks for anything: the second lot waits for the first."""
    path = tmp_path / "rows"
    store = opened(path)
    for lot in range(2):
        put(store, *(entry(lot * MAX_WAITING + number) for number in range(MAX_WAITING)))
    assert len(kept(path)[0]) >= MAX_WAITING
    store.close()


def test_so_much_of_payloads_waits(tmp_path: Path) -> None:
    """A few jobs with much in them are as many with little."""
    path = tmp_path / "rows"
    store = opened(path)
    for number in (1, 2):
        job = replace(entry(number).job, payload=b" " * MAX_WAITING_BYTES)
        put(store, replace(entry(number), job=job))
    assert "job-1" in kept(path)[0]
    write(store)
    job = replace(job, payload=b" " * (MAX_WAITING_BYTES - 1))
    for _ in range(3):
        put(store, replace(entry(3), job=job))
    assert kept(path)[1] == [(HERE, 3)]
    store.close()


def test_a_job_that_is_being_written_is_answered_from_memory(tmp_path: Path) -> None:
    """However long that takes, and though it changes meanwhile; who waits for more, waits."""
    store = opened(tmp_path / "rows")
    go_on = Event()
    store._writer.ask(lambda _: go_on.wait())
    put(store, one := entry(1))
    first = store.list(Filter(), 10)
    put(store, cancelled := changed(one, RequestCancel(job_id="job-1"), 2))
    second = store.list(Filter(), 10)
    assert not first.done()
    assert store.get("job-1") == cancelled
    go_on.set()

    assert first.result() == [one]
    assert second.result() == [cancelled]
    put(store, entry(3))
    assert store.get("job-1") == cancelled
    store.close()


def test_once_a_write_fails_everything_does(tmp_path: Path) -> None:
    """A facade whose disk is full ends: its file stays the fold of a prefix."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, entry(1))
    write(store)
    # Less than there are: no page may be added.
    store._db.writer.execute("PRAGMA max_page_count = 1")
    put(store, *map(entry, range(2, 200)))
    full = store.list(Filter(), 1)
    put(store, entry(200))
    behind = store.list(Filter(), 1)
    for future in (full, behind):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            future.result()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        put(store, entry(201))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.close()
    assert kept(path) == ({"job-1"}, [(HERE, 2)])


def test_a_job_that_was_looked_up_is_the_newest_all_the_same(tmp_path: Path) -> None:
    """However often it changes and is written, and however large it is."""
    store = opened(tmp_path / "rows")
    small, large = entry(1), entry(2)
    large = replace(large, job=replace(large.job, payload=b" " * (SMALL_BYTES + 1)))
    for number in range(3, 6):
        put(store, small, large, entry(number))
        write(store)
        put(store, entry(number))
        write(store)
        assert [store.get(f"job-{each}") for each in (1, 2)] == [small, large]
        small, large = (replace(each, offset=number) for each in (small, large))
    store.close()


def test_an_id_that_was_asked_for_in_vain_is_a_job_once_it_is_one(tmp_path: Path) -> None:
    """Whoever creates a job asks for it before."""
    store = opened(tmp_path / "rows")
    assert store.get("job-1") is None
    assert store.get("job-1") is None
    put(store, one := entry(1))
    assert store.get("job-1") == one
    write(store)
    put(store, entry(2))
    write(store)
    assert store.get("job-1") == one
    store.close()


def test_what_is_due_is_found_whether_it_waits_or_not(tmp_path: Path) -> None:
    """And what has changed since it was written is looked at as it is."""
    store = opened(tmp_path / "rows")
    put(store, one := entry(1), entry(2))
    late = one.job.state.create_time + MAX_LIFE
    for _ in range(2):
        assert sorted(store.due(late, 10)) == ["job-1", "job-2"]
        assert len(store.due(late, 1)) == 1
        assert store.due(one.job.state.create_time, 10) == []
        write(store)
    put(store, changed(one, RequestCancel(job_id="job-1"), 3))
    assert store.due(late, 10) == ["job-2"]
    # A row that is out of date takes no other's place.
    assert store.due(late, 1) == ["job-2"]
    store.close()


def test_what_waits_and_what_runs_is_found_whether_it_is_written_or_not(tmp_path: Path) -> None:
    """Each job as it is, the one that waits the longest first; and nothing is written for it."""
    path = tmp_path / "rows"
    store = opened(path)
    one, two, three = map(entry, (1, 2, 3))
    state = one.job.state
    kinds, now = [JobKind(state.item_type, state.job_type)], state.create_time + timedelta(days=1)
    earlier = replace(two.job.state, create_time=state.create_time - timedelta(seconds=1))
    two = replace(two, job=replace(two.job, state=earlier))
    put(store, one, two, three)
    for _ in range(2):
        assert store.queued(kinds, now, 10) == [two, one, three]
        assert store.queued(kinds, now, 1) == [two]
        assert store.queued(kinds, earlier.create_time, 10) == [two]
        assert store.queued([JobKind("other", state.job_type)], now, 10) == []
        assert store.running() == []
        assert [store.has_room(state.tenant_id, most) for most in (2, 3, 4)] == [False, False, True]
        write(store)
    started = changed(two, claim(1, A, two.job.event_id, "job-2"), 4)
    put(store, started)
    assert kept(path)[1] == [(HERE, 4)]
    for _ in range(2):
        assert store.queued(kinds, now, 1) == [one]
        assert store.running() == [(Run("job-2", 1), A)]
        assert [store.has_room(state.tenant_id, most) for most in (2, 3, 4)] == [False, False, True]
        assert store.has_room("another", 1)
        write(store)
    put(store, changed(one, RequestCancel(job_id="job-1"), 5))
    assert store.queued(kinds, now, 10) == [three]
    assert [store.has_room(state.tenant_id, most) for most in (2, 3)] == [False, True]
    store.close()


def test_a_job_that_is_too_old_is_gone_at_once_whether_it_waited_or_not(tmp_path: Path) -> None:
    """Replicas forget a job at the same place in the log, whatever they have written."""
    store = opened(tmp_path / "rows")
    put(store, entry(1, first_ms=1000))
    write(store)
    put(store, entry(2, first_ms=1001), entry(3, first_ms=5000))
    put(store, entry(4, first_ms=6000), expired_ms=1001)

    assert [store.get(f"job-{number}") is None for number in range(1, 5)] == [
        True,
        True,
        False,
        False,
    ]
    # Its id, should it come again, is another job's.
    put(store, again := entry(1, first_ms=7000), expired_ms=1001)
    assert store.list(Filter(item_id=again.job.state.item_id), 10).result()[-1] == again
    store.close()


def test_the_indexes_of_lists_are_made_once_the_log_was_read(tmp_path: Path) -> None:
    """And stay: with the state of the process before, and where the log is read anew."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, entry(1))
    write(store)
    assert not indexes(path) & OF_LISTS
    store.index_for_lists().result()
    assert indexes(path) >= OF_LISTS
    store.close()

    store = opened(path)
    store.index_for_lists().result()
    assert store.get("job-1") == entry(1)
    store.clear()
    put(store, entry(2))
    store.close()
    assert indexes(path) >= OF_LISTS
    assert kept(path)[0] == {"job-2"}


def test_a_state_without_indexes_or_with_some_gets_the_others(tmp_path: Path) -> None:
    """As a process leaves it that dies while it reads the log, or while it makes them."""
    path = tmp_path / "rows"
    store = opened(path)
    put(store, entry(1))
    store.close()
    for made in (set[str](), {"jobs_by_age", "jobs_by_type"}):
        with closing(sqlite3.connect(path)) as db:
            for name in OF_LISTS & indexes(path) - made:
                db.execute(f"DROP INDEX {name}")
        assert indexes(path) & OF_LISTS == made
        store = opened(path)
        put(store, entry(2))
        store.index_for_lists().result()
        assert indexes(path) >= OF_LISTS
        assert len(store.list(Filter(), 10).result()) == 2
        store.close()


def test_only_lists_need_the_indexes_of_lists(tmp_path: Path) -> None:
    """What the fold does, and what is asked for every second, looks at few rows without them."""
    store = opened(tmp_path / "rows")
    asked: list[str] = []
    for db in (store._db.writer, store._db.reader):
        db.set_trace_callback(asked.append)
    put(store, one := entry(1), expired_ms=1)
    state = one.job.state
    store.backlog().result()
    store.due(state.create_time, 1)
    store.queued([JobKind(state.item_type, state.job_type)], state.create_time, 1)
    store.running()
    store.has_room(state.tenant_id, 1)
    store.has_room(state.tenant_id, 2)
    store.get("another")
    for db in (store._db.writer, store._db.reader):
        db.set_trace_callback(None)
    looking = [sql for sql in asked if sql.startswith(("SELECT", "DELETE"))]
    steps = [
        detail
        for sql in looking
        for *_, detail in store._db.reader.execute(f"EXPLAIN QUERY PLAN {sql}")
        if "jobs" in detail
    ]

    assert len(looking) >= 9
    assert len(steps) >= len(looking)
    assert [step for step in steps if " INDEX " not in step] == []
    store.close()


def test_jobs_are_had_together_as_one_by_one(tmp_path: Path) -> None:
    """From memory, from the file, and not at all: never heard of, asked for before, or too old."""
    store = opened(tmp_path / "rows")
    put(store, entry(1, first_ms=1), entry(2), entry(3))
    write(store)
    put(store, entry(4), expired_ms=1)
    write(store)
    put(store, entry(5), expired_ms=1)
    store.get("none")
    job_ids = {f"job-{number}" for number in range(1, 7)} | {"none", '"', "job-2\0"}
    for _ in range(2):
        found = store.get_many(job_ids)
        assert found == {f"job-{number}": entry(number) for number in (2, 3, 4, 5)}
        assert found == {job_id: one for job_id in job_ids if (one := store.get(job_id))}
    store.close()


def test_what_is_dropped_with_its_log_does_not_come_back(tmp_path: Path) -> None:
    """A log that is read anew begins with nothing."""
    store = opened(tmp_path / "rows")
    put(store, entry(1))
    store.clear()

    assert store.get("job-1") is None
    assert store.list(Filter(), 10).result() == []
    assert store.checkpoints() == {}
    store.close()
