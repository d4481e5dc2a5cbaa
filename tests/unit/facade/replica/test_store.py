"""Jobs may wait in memory, and the file is still always the fold of a prefix of the log."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.replica import Filter, StateError
from fabric_jobs.facade.replica.memory import MAX_CACHED_JOB_BYTES, MAX_PENDING, MAX_PENDING_BYTES
from tests.support.store_kit import (
    HERE,
    after_command,
    flush,
    open_store,
    put,
    read_file,
    stored_job,
)


def test_get_returns_a_job_before_and_after_it_is_written(tmp_path: Path) -> None:
    """A reader of one job can't tell whether the job is written."""
    store = open_store(tmp_path / "rows")
    put(store, one := stored_job(1))
    assert store.get(one.job.job_id) == one
    assert store.list(Filter(), 10).result() == [one]
    assert store.get(one.job.job_id) == one
    put(store, stored_job(2))
    assert len(store.list(Filter(), 10).result()) == 2
    assert store.get(one.job.job_id) == one
    store.close()


def test_file_has_pending_jobs_with_their_checkpoint_or_not_at_all(tmp_path: Path) -> None:
    """A killed process leaves no job without its checkpoint, and no checkpoint without its job."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, stored_job(1))
    assert read_file(path) == (set(), [])
    flush(store)
    put(store, stored_job(2))
    assert read_file(path) == ({"job-1"}, [(HERE, 2)])
    store.close()
    assert read_file(path) == ({"job-1", "job-2"}, [(HERE, 3)])


def test_put_writes_when_max_pending_jobs_wait(tmp_path: Path) -> None:
    """Memory stays bounded without any query: the second lot waits until the first is written."""
    path = tmp_path / "rows"
    store = open_store(path)
    for lot in range(2):
        put(store, *(stored_job(lot * MAX_PENDING + number) for number in range(MAX_PENDING)))
    assert len(read_file(path)[0]) >= MAX_PENDING
    store.close()


def test_put_writes_when_payloads_reach_max_pending_bytes(tmp_path: Path) -> None:
    """A few large jobs count as much as many small ones; a job that is put again counts once."""
    path = tmp_path / "rows"
    store = open_store(path)
    for number in (1, 2):
        job = replace(stored_job(number).job, payload=b" " * MAX_PENDING_BYTES)
        put(store, replace(stored_job(number), job=job))
    assert "job-1" in read_file(path)[0]
    flush(store)
    job = replace(job, payload=b" " * (MAX_PENDING_BYTES - 1))
    for _ in range(3):
        put(store, replace(stored_job(3), job=job))
    assert read_file(path)[1] == [(HERE, 3)]
    store.close()


def test_get_answers_from_memory_while_the_job_is_being_written(tmp_path: Path) -> None:
    """This holds also if the job changes meanwhile. Queries of the writer's thread wait in turn."""
    store = open_store(tmp_path / "rows")
    go_on = Event()
    store._writer.run(lambda _: go_on.wait())
    put(store, one := stored_job(1))
    first = store.list(Filter(), 10)
    put(store, cancelled := after_command(one, RequestCancel(job_id="job-1"), 2))
    second = store.list(Filter(), 10)
    assert not first.done()
    assert store.get("job-1") == cancelled
    go_on.set()

    assert first.result() == [one]
    assert second.result() == [cancelled]
    put(store, stored_job(3))
    assert store.get("job-1") == cancelled
    store.close()


def test_failed_write_fails_all_later_writes_and_queries(tmp_path: Path) -> None:
    """A facade whose disk is full ends, and its file is still the fold of a prefix."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, stored_job(1))
    flush(store)
    # Fewer pages than the file has: SQLite can't add one, as if the disk were full.
    store._db.writer.execute("PRAGMA max_page_count = 1")
    put(store, *map(stored_job, range(2, 200)))
    full = store.list(Filter(), 1)
    put(store, stored_job(200))
    behind = store.list(Filter(), 1)
    for future in (full, behind):
        with pytest.raises(StateError, match=f"Make room in {tmp_path}"):
            future.result()
    with pytest.raises(StateError, match="full"):
        put(store, stored_job(201))
    with pytest.raises(StateError, match="full"):
        store.close()
    assert isinstance(store.failure.future.exception(), StateError)
    assert read_file(path) == ({"job-1"}, [(HERE, 2)])


def test_clear_that_fails_leaves_no_query_that_answers_from_the_file(tmp_path: Path) -> None:
    """The file lacks what was only in memory: a job would be unknown, or run again."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, old := stored_job(1))
    flush(store)
    store._db.writer.execute(
        "CREATE TRIGGER refuse BEFORE DELETE ON jobs BEGIN SELECT abs(-1 << 63); END"
    )
    put(store, after_command(old, RequestCancel(job_id="job-1"), offset=2), stored_job(3))

    with pytest.raises(StateError):
        store.clear()

    for query in (
        lambda: store.get("job-1"),
        lambda: store.get("job-3"),
        lambda: store.get_many(["job-1", "job-3"]),
        lambda: store.list(Filter(), 10).result(),
        lambda: store.unfinished.held_runs(),
        lambda: store.unfinished.has_room("tenant", 1),
        lambda: store.unfinished.due_jobs(datetime.max.replace(tzinfo=UTC), 10),
    ):
        with pytest.raises(StateError):
            query()


def test_get_returns_the_newest_version_of_a_cached_job(tmp_path: Path) -> None:
    """This holds however often the job changes and is written, and however large it is."""
    store = open_store(tmp_path / "rows")
    small, large = stored_job(1), stored_job(2)
    large = replace(large, job=replace(large.job, payload=b" " * (MAX_CACHED_JOB_BYTES + 1)))
    for number in range(3, 6):
        put(store, small, large, stored_job(number))
        flush(store)
        put(store, stored_job(number))
        flush(store)
        assert [store.get(f"job-{each}") for each in (1, 2)] == [small, large]
        small, large = (replace(each, offset=number) for each in (small, large))
    store.close()


def test_get_finds_a_job_whose_id_was_unknown_before(tmp_path: Path) -> None:
    """A create asks for its id before the job exists."""
    store = open_store(tmp_path / "rows")
    assert store.get("job-1") is None
    assert store.get("job-1") is None
    put(store, one := stored_job(1))
    assert store.get("job-1") == one
    flush(store)
    put(store, stored_job(2))
    flush(store)
    assert store.get("job-1") == one
    store.close()


def test_get_returns_no_expired_job_whether_pending_or_written(tmp_path: Path) -> None:
    """Replicas drop a job at the same place in the log, whatever they have written."""
    store = open_store(tmp_path / "rows")
    put(store, stored_job(1, first_ms=1000))
    flush(store)
    put(store, stored_job(2, first_ms=1001), stored_job(3, first_ms=5000))
    put(store, stored_job(4, first_ms=6000), expired_ms=1001)

    assert [store.get(f"job-{number}") is None for number in range(1, 5)] == [
        True,
        True,
        False,
        False,
    ]
    # A later job with the id of an expired one is a new job.
    put(store, again := stored_job(1, first_ms=7000), expired_ms=1001)
    assert store.list(Filter(item_id=again.job.state.item_id), 10).result()[-1] == again
    store.close()


def test_get_many_returns_what_get_returns(tmp_path: Path) -> None:
    """Ids of pending, written and expired jobs, and of none, some of them asked for before."""
    store = open_store(tmp_path / "rows")
    put(store, stored_job(1, first_ms=1), stored_job(2), stored_job(3))
    flush(store)
    put(store, stored_job(4), expired_ms=1)
    flush(store)
    put(store, stored_job(5), expired_ms=1)
    store.get("none")
    job_ids = {f"job-{number}" for number in range(1, 7)} | {"none", '"', "job-2\0"}
    for _ in range(2):
        found = store.get_many(job_ids)
        assert found == {f"job-{number}": stored_job(number) for number in (2, 3, 4, 5)}
        assert found == {job_id: one for job_id in job_ids if (one := store.get(job_id))}
    store.close()


def test_clear_drops_pending_jobs_and_checkpoints(tmp_path: Path) -> None:
    """A log that is read again begins with nothing, also of what was in the file and in memory."""
    store = open_store(tmp_path / "rows")
    for number in (1, 2):
        put(store, stored_job(number))
        flush(store)
        assert store.get("job-1")
    put(store, stored_job(3))
    store.clear()

    assert [store.get(f"job-{number}") for number in (1, 2, 3)] == [None] * 3
    assert store.list(Filter(), 10).result() == []
    assert store.checkpoints() == {}
    put(store, four := stored_job(4))
    assert store.list(Filter(), 10).result() == [four]
    store.close()
