"""When a page is brought up to date: by which changes, and how often."""

import time
from datetime import timedelta
from typing import Any

import pytest

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.monitor import formatting, live
from fabric_jobs.facade.monitor.live import Live
from fabric_jobs.facade.monitor.pages import LIST_SHARE, JobsPage, Listed, Page, Service
from fabric_jobs.facade.monitor.query import Query
from fabric_jobs.facade.replica import Filter
from tests.support.monitor import Fold, Well


class Clock:
    """The monotonic clock, which stands still."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of the machine's."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def fold() -> Fold:
    """A replica with no job."""
    return Fold()


def jobs_page(fold: Fold, **which: Any) -> JobsPage:
    """The list's first page."""
    service = Service(fold.replica, fold.roster, Well())
    return JobsPage(service, Query(Filter(**which), None, ()))


def hearing(page: Page, fold: Fold) -> list[bool]:
    """Whether it heard something, for each change from now on."""
    heard = list[bool]()
    fold.replica.listeners.add(lambda change: heard.append(page.hears(change)))
    return heard


async def listed(page: JobsPage) -> list[str]:
    """The ids of the jobs on it."""
    shown = (await page.parts())["list"]
    assert isinstance(shown, Listed)
    return [job.job_id for job in shown.jobs]


async def test_a_filtered_list_hears_of_what_fits_and_of_its_rows(fold: Fold, clock: Clock) -> None:
    """Nothing else makes it look: looking may take long."""
    page = jobs_page(fold, job_type="nightly")
    assert await listed(page) == []
    heard = hearing(page, fold)
    fold.create(job_type="hourly")
    wanted = fold.create(job_type="nightly")

    assert await listed(page) == [wanted]
    fold.create(job_type="hourly")
    fold.start(wanted)
    assert heard == [False, True, False, True]


async def test_a_list_that_takes_long_is_looked_up_less_often(
    fold: Fold, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile it is as it was; what changed then is not forgotten."""
    page, took_s, look = jobs_page(fold), 0.25, fold.replica.list

    async def slow(*asked: Any) -> Any:
        clock.now += took_s
        return await look(*asked)

    monkeypatch.setattr(fold.replica, "list", slow)
    begun = clock.now
    assert await listed(page) == []
    heard = hearing(page, fold)
    job_id = fold.create()
    clock.now = begun + took_s / LIST_SHARE - 0.001
    assert await listed(page) == []
    clock.now += 0.002

    assert await listed(page) == [job_id]
    assert heard == [True]


async def test_what_changes_while_a_list_is_looked_up_is_not_missed(
    fold: Fold, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list that comes does not show it yet, and its rows are not known before it comes."""
    page, look = jobs_page(fold, statuses=(JobInstanceStatus.NOT_STARTED,)), fold.replica.list
    job_id = fold.create()
    heard = hearing(page, fold)

    async def overtaken(*asked: Any) -> Any:
        found = await look(*asked)
        fold.start(job_id)
        return found

    monkeypatch.setattr(fold.replica, "list", overtaken)
    assert await listed(page) == [job_id]
    monkeypatch.setattr(fold.replica, "list", look)

    assert heard == [True]
    assert await listed(page) == []


async def test_at_midnight_all_is_sent_anew(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was of today is then written with its day."""
    monkeypatch.setattr(live, "PERIOD_S", 0)
    monkeypatch.setattr(live, "TICK_S", 0.01)
    stream = Live(fold.replica, lambda name, _: name).stream(jobs_page(fold), lambda: True)
    names = ["doubts", "summary", "list", "alive"]
    assert [(await anext(stream)).event for _ in names] == names
    assert (await anext(stream)).event == "alive"
    tomorrow = formatting.today() + timedelta(days=1)
    monkeypatch.setattr(live, "today", lambda: tomorrow)

    assert [(await anext(stream)).event for _ in names] == names
    await stream.aclose()


async def test_there_is_no_room_for_two_who_come_at_a_time(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there was some when they asked."""
    monkeypatch.setattr(live, "MAX_VIEWERS", 1)
    here = Live(fold.replica, lambda name, _: name)
    first, second = (here.stream(jobs_page(fold), lambda: True) for _ in "12")
    await anext(first)

    assert [message async for message in second] == []
    await first.aclose()
