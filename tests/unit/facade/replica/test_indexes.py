"""The indexes of the file: when those of lists are created, and which queries need them."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.replica import Filter
from tests.support.store_kit import (
    flush,
    open_store,
    put,
    read_file,
    stored_job,
)

LIST_INDEXES = {
    "jobs_by_age",
    "jobs_by_type",
    "jobs_by_item_type",
    "jobs_by_workspace",
    "jobs_by_item",
    "jobs_by_tenant",
    "jobs_by_executor",
}


def indexes(path: Path) -> set[str]:
    """The names of the indexes that the file has on the table of jobs."""
    with closing(sqlite3.connect(path)) as db:
        return {
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            if name.startswith("jobs_")
        }


def test_index_for_lists_creates_the_indexes_once(tmp_path: Path) -> None:
    """They stay when the file is opened again, and when the log is read again."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, stored_job(1))
    flush(store)
    assert not indexes(path) & LIST_INDEXES
    store.index_for_lists().result()
    assert indexes(path) >= LIST_INDEXES
    store.close()

    store = open_store(path)
    store.index_for_lists().result()
    assert store.get("job-1") == stored_job(1)
    store.clear()
    put(store, stored_job(2))
    store.close()
    assert indexes(path) >= LIST_INDEXES
    assert read_file(path)[0] == {"job-2"}


def test_index_for_lists_creates_the_missing_indexes(tmp_path: Path) -> None:
    """A process that is killed while it reads the log or creates indexes leaves such a file."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, stored_job(1))
    store.close()
    for made in (set[str](), {"jobs_by_age", "jobs_by_type"}):
        with closing(sqlite3.connect(path)) as db:
            for name in LIST_INDEXES & indexes(path) - made:
                db.execute(f"DROP INDEX {name}")
        assert indexes(path) & LIST_INDEXES == made
        store = open_store(path)
        put(store, stored_job(2))
        store.index_for_lists().result()
        assert indexes(path) >= LIST_INDEXES
        assert len(store.list(Filter(), 10).result()) == 2
        store.close()


def test_queries_other_than_lists_use_an_index_before_index_for_lists(tmp_path: Path) -> None:
    """The fold, and what a facade asks every second, read few rows without the indexes of lists."""
    store = open_store(tmp_path / "rows")
    statements: list[str] = []
    for db in (store._db.writer, store._db.reader):
        db.set_trace_callback(statements.append)
    put(store, one := stored_job(1), expired_ms=1)
    state = one.job.state
    store.backlog().result()
    store.unfinished.due_jobs(state.create_time, 1)
    kinds = [JobKind(state.item_type, state.job_type)]
    store.unfinished.queued_jobs(kinds, state.create_time, timedelta(), 1)
    store.unfinished.held_runs()
    store.unfinished.has_room(state.tenant_id, 1)
    store.unfinished.has_room(state.tenant_id, 2)
    store.get("another")
    for db in (store._db.writer, store._db.reader):
        db.set_trace_callback(None)
    searches = [sql for sql in statements if sql.startswith(("SELECT", "DELETE"))]
    steps = [
        detail
        for sql in searches
        for *_, detail in store._db.reader.execute(f"EXPLAIN QUERY PLAN {sql}")
        if "jobs" in detail
    ]

    assert len(searches) >= 9
    assert len(steps) >= len(searches)
    assert [step for step in steps if " INDEX " not in step] == []
    store.close()
