"""The queries of unfinished jobs, over pending and written jobs."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE
from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.replica import Store
from tests.support.lifecycle import A, claim
from tests.support.store_kit import (
    HERE,
    after_command,
    flush,
    open_store,
    put,
    read_file,
    stored_job,
)

SOON = timedelta(seconds=1)


def due_job_ids(store: Store, now: datetime, limit: int) -> list[str]:
    """The ids of the first jobs that are due."""
    return [due.job_id for due in store.unfinished.due_jobs(now, limit)]


def test_due_jobs_finds_pending_and_written_jobs(tmp_path: Path) -> None:
    """A written job that has changed since is judged by its state in memory."""
    store = open_store(tmp_path / "rows")
    put(store, one := stored_job(1), stored_job(2))
    late = one.job.state.create_time + DEFAULT_LONGEST_LIFE
    for _ in range(2):
        assert sorted(due_job_ids(store, late, 10)) == ["job-1", "job-2"]
        assert len(due_job_ids(store, late, 1)) == 1
        assert due_job_ids(store, one.job.state.create_time, 10) == []
        flush(store)
    put(store, after_command(one, RequestCancel(job_id="job-1"), 3))
    assert due_job_ids(store, late, 10) == ["job-2"]
    # A row that is out of date does not count against the limit.
    assert due_job_ids(store, late, 1) == ["job-2"]
    store.close()


def test_due_jobs_pages_through_pending_and_written_jobs_in_the_order_of_their_deadlines(
    tmp_path: Path,
) -> None:
    """Each page goes on after the last job of the page before it, also if that job has ended."""
    store = open_store(tmp_path / "rows")
    jobs = [stored_job(number) for number in range(1, 6)]
    made = jobs[0].job.state.create_time
    # Three jobs have the same deadline: their ids decide.
    seconds = (2, 1, 1, 0, 1)
    jobs = [
        replace(one, job=replace(one.job, state=replace(one.job.state, create_time=time)))
        for one, time in zip(
            jobs, [made + timedelta(seconds=each) for each in seconds], strict=True
        )
    ]
    late = made + DEFAULT_LONGEST_LIFE + timedelta(seconds=2)
    put(store, *jobs[::2])
    flush(store)
    put(store, *jobs[1::2])
    first = store.unfinished.due_jobs(late, 2)
    put(store, after_command(jobs[1], RequestCancel(job_id="job-2"), 9))
    second = store.unfinished.due_jobs(late, 2, first[-1])
    third = store.unfinished.due_jobs(late, 2, second[-1])

    pages = [[due.job_id for due in page] for page in (first, second, third)]
    assert pages == [["job-4", "job-2"], ["job-3", "job-5"], ["job-1"]]
    store.close()


def test_due_jobs_leaves_out_jobs_of_a_later_version(tmp_path: Path) -> None:
    """No facade of this version can end such a job, so it would delay the others for ever."""
    store = open_store(tmp_path / "rows")
    one, two = stored_job(1), stored_job(2)
    put(store, replace(one, job=replace(one.job, decidable=False)), two)
    late = one.job.state.create_time + DEFAULT_LONGEST_LIFE
    for _ in range(2):
        assert due_job_ids(store, late, 1) == ["job-2"]
        flush(store)
    store.close()


def test_queued_jobs_and_held_runs_find_pending_and_written_jobs(tmp_path: Path) -> None:
    """Each job counts as it is now, the longest waiting first, and the query writes nothing."""
    path = tmp_path / "rows"
    store = open_store(path)
    one, two, three = map(stored_job, (1, 2, 3))
    state = one.job.state
    kinds, now = (
        [JobKind(state.item_type, state.job_type)],
        state.create_time + timedelta(minutes=1),
    )
    earlier = replace(two.job.state, create_time=state.create_time - timedelta(seconds=1))
    two = replace(two, job=replace(two.job, state=earlier))
    put(store, one, two, three)
    for _ in range(2):
        assert store.unfinished.queued_jobs(kinds, now, SOON, 10) == [two, one, three]
        assert store.unfinished.queued_jobs(kinds, now, SOON, 1) == [two]
        assert store.unfinished.queued_jobs(kinds, earlier.create_time + SOON, SOON, 10) == [two]
        assert store.unfinished.queued_jobs([JobKind("other", state.job_type)], now, SOON, 10) == []
        assert store.unfinished.held_runs() == []
        assert [store.unfinished.has_room(state.tenant_id, most) for most in (2, 3, 4)] == [
            False,
            False,
            True,
        ]
        flush(store)
    started = after_command(two, claim(1, A, two.job.event_id, "job-2"), 4)
    put(store, started)
    assert read_file(path)[1] == [(HERE, 4)]
    for _ in range(2):
        assert store.unfinished.queued_jobs(kinds, now, SOON, 1) == [one]
        assert store.unfinished.held_runs() == [(Run("job-2", 1), A)]
        assert [store.unfinished.has_room(state.tenant_id, most) for most in (2, 3, 4)] == [
            False,
            False,
            True,
        ]
        assert store.unfinished.has_room("another", 1)
        flush(store)
    put(store, after_command(one, RequestCancel(job_id="job-1"), 5))
    assert store.unfinished.queued_jobs(kinds, now, SOON, 10) == [three]
    assert [store.unfinished.has_room(state.tenant_id, most) for most in (2, 3)] == [False, True]
    store.close()


def test_queued_jobs_are_the_oldest_of_each_default_priority(tmp_path: Path) -> None:
    """Among pending and written jobs alike; the limit is that of each priority."""
    store = open_store(tmp_path / "rows")
    jobs = []
    for number, invoke_type in enumerate(["Scheduled", "Manual", "Scheduled", "Later", "Manual"]):
        made = stored_job(number)
        state = made.job.state
        state = replace(
            state, invoke_type=invoke_type, create_time=state.create_time + SOON * number
        )
        jobs.append(replace(made, job=replace(made.job, state=state)))
    kinds, now = [JobKind(state.item_type, state.job_type)], state.create_time + SOON
    wanted = [[1, 4], [0, 2], [3]]
    put(store, *jobs[:3])
    flush(store)
    put(store, *jobs[3:])
    for _ in range(2):
        for limit in (1, 2, 9):
            found = store.unfinished.queued_jobs(kinds, now, SOON, limit)
            assert found == [jobs[number] for group in wanted for number in group[:limit]]
        flush(store)
    store.close()


@pytest.mark.parametrize("is_written", [True, False])
def test_unfinished_jobs_of_a_store_that_is_cleared_are_gone(
    tmp_path: Path, *, is_written: bool
) -> None:
    """Their runs would otherwise be taken, and their deadlines fire, on jobs of another log."""
    store = open_store(tmp_path / "rows")
    queued = stored_job(1)
    running = after_command(stored_job(2), claim(1, A, "event-2", "job-2"), 3)
    state = queued.job.state
    kind, late = JobKind.of(state), state.create_time + DEFAULT_LONGEST_LIFE
    put(store, queued, running)
    assert len(due_job_ids(store, late, 10)) == 2
    if is_written:
        flush(store)
    store.clear()

    unfinished = store.unfinished
    assert due_job_ids(store, late, 10) == []
    assert unfinished.queued_jobs([kind], late, SOON, 10) == []
    assert unfinished.held_runs() == []
    assert unfinished.has_room(state.tenant_id, 1)
    flush(store)
    assert read_file(tmp_path / "rows") == (set(), [])
    store.close()
