"""When a page is updated: by which changes, and how often."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.monitor import formatting, live
from fabric_jobs.facade.monitor.job_list import MAX_LIST_SHARE, JobList, JobsPage
from fabric_jobs.facade.monitor.live import LiveUpdates
from fabric_jobs.facade.monitor.pages import ExecutorsPage, MonitorData, Page
from fabric_jobs.facade.monitor.query import Query
from fabric_jobs.facade.replica import Filter, StateDamagedError
from tests.support.monitor import FixedHealth, FoldedJobs
from tests.support.sealing import NO_SEALING


class FixedClock:
    """A monotonic clock that stands still until a test changes `now`."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    """Replaces the monotonic clock."""
    clock = FixedClock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def fold() -> FoldedJobs:
    """Returns a replica without jobs."""
    return FoldedJobs()


def jobs_page(fold: FoldedJobs, **which: Any) -> JobsPage:
    """Returns the first page of the list, with these filters."""
    data = MonitorData(fold.replica, fold.roster, fold.job_types, FixedHealth(), NO_SEALING)
    return JobsPage(data, Query(Filter(**which), None, ()))


def note_changes(page: Page, fold: FoldedJobs) -> list[bool]:
    """Passes each later change to the page. Returns a list of what `note_change` returned."""
    noted = list[bool]()
    fold.replica.listeners.add(lambda change: noted.append(page.note_change(change)))
    return noted


async def load_ids(page: JobsPage) -> list[str]:
    """Loads the page. Returns the ids of its jobs."""
    shown = (await page.load_parts())["list"]
    assert isinstance(shown, JobList)
    return [job.job_id for job in shown.jobs]


async def test_jobs_page_with_a_filter_changes_only_by_jobs_that_match_or_are_shown(
    fold: FoldedJobs, clock: FixedClock
) -> None:
    """Other changes cause no query, because a query may be slow."""
    page = jobs_page(fold, job_type="nightly")
    assert await load_ids(page) == []
    noted = note_changes(page, fold)
    fold.create(job_type="hourly")
    wanted = fold.create(job_type="nightly")

    assert await load_ids(page) == [wanted]
    fold.create(job_type="hourly")
    fold.start(wanted)
    assert noted == [False, True, False, True]


async def test_jobs_page_with_a_slow_query_is_queried_less_often(
    fold: FoldedJobs, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the list stays as it was. Its changes are not forgotten."""
    page, took_s, query = jobs_page(fold), 0.25, fold.replica.list

    async def query_slowly(*arguments: Any, **options: Any) -> Any:
        clock.now += took_s
        return await query(*arguments, **options)

    monkeypatch.setattr(fold.replica, "list", query_slowly)
    start = clock.now
    assert await load_ids(page) == []
    noted = note_changes(page, fold)
    job_id = fold.create()
    clock.now = start + took_s / MAX_LIST_SHARE - 0.001
    assert await load_ids(page) == []
    clock.now += 0.002

    assert await load_ids(page) == [job_id]
    assert noted == [True]


async def test_jobs_page_with_a_change_during_its_query_is_queried_again(
    fold: FoldedJobs, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running query does not show the change, and its rows are not known yet."""
    page, query = jobs_page(fold, statuses=(JobInstanceStatus.NOT_STARTED,)), fold.replica.list
    job_id = fold.create()
    noted = note_changes(page, fold)

    async def query_then_change(*arguments: Any, **options: Any) -> Any:
        found = await query(*arguments, **options)
        fold.start(job_id)
        return found

    monkeypatch.setattr(fold.replica, "list", query_then_change)
    assert await load_ids(page) == [job_id]
    monkeypatch.setattr(fold.replica, "list", query)

    assert noted == [True]
    assert await load_ids(page) == []


async def test_live_updates_at_midnight_send_every_part_again(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times of yesterday are then shown with their date."""
    monkeypatch.setattr(live, "UPDATE_INTERVAL_S", 0)
    monkeypatch.setattr(live, "CHECK_INTERVAL_S", 0.01)
    stream = LiveUpdates(fold.replica, lambda name, _: name).stream(jobs_page(fold), lambda: True)
    names = ["warnings", "summary", "list", "alive"]
    assert [(await anext(stream)).event for _ in names] == names
    assert (await anext(stream)).event == "alive"
    tomorrow = formatting.today() + timedelta(days=1)
    monkeypatch.setattr(live, "today", lambda: tomorrow)

    assert [(await anext(stream)).event for _ in names] == names
    await stream.aclose()


async def test_live_updates_with_room_for_one_viewer_refuse_the_second_of_two_at_once(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was room when both asked."""
    monkeypatch.setattr(live, "MAX_VIEWERS", 1)
    updates = LiveUpdates(fold.replica, lambda name, _: name)
    first, second = (updates.stream(jobs_page(fold), lambda: True) for _ in "12")
    await anext(first)

    assert [message async for message in second] == []
    await first.aclose()


class FailingPage(ExecutorsPage):
    """A page whose background work fails."""

    error: ClassVar[Exception]

    async def run_background(self, notify: Callable[[], None]) -> None:
        """Raises the error, and has the page rendered first."""
        notify()
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("A fault."), (logging.ERROR, "the background work of a monitor page failed")),
        (
            StateDamagedError("Damaged."),
            (
                logging.INFO,
                "a page of the monitor is not updated now: This facade's state file can't be used "
                "now.",
            ),
        ),
    ],
)
async def test_live_updates_of_a_page_whose_background_work_fails_log_the_error_and_go_on(
    error: Exception,
    expected: tuple[int, str],
    fold: FoldedJobs,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The parts that need no background work stay up to date."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(live, "UPDATE_INTERVAL_S", 0)
    monkeypatch.setattr(live, "CHECK_INTERVAL_S", 0.01)
    monkeypatch.setattr(FailingPage, "error", error, raising=False)
    data = MonitorData(fold.replica, fold.roster, fold.job_types, FixedHealth(), NO_SEALING)
    updates = LiveUpdates(fold.replica, lambda name, _: name)
    stream = updates.stream(FailingPage(data, ""), lambda: True)
    names = ["warnings", "summary", "executors", "alive", "alive", "alive"]

    assert [(await anext(stream)).event for _ in names] == names
    await stream.aclose()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [expected]
    assert bool(caplog.records[0].exc_info) == (expected[0] == logging.ERROR)
