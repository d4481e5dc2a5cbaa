"""When a page is brought up to date: by which changes, and how often."""

import time
from typing import Any

import pytest

from facade.monitor.pages import LIST_SHARE, JobsPage, Listed, Page, Service
from facade.monitor.query import Query
from facade.replica import Filter
from tests.monitor import Fold, Well


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


def listed(page: JobsPage) -> list[str]:
    """The ids of the jobs on it."""
    shown = page.parts()["list"]
    assert isinstance(shown, Listed)
    return [job.job_id for job in shown.jobs]


def test_a_filtered_list_hears_of_what_fits_and_of_its_rows(fold: Fold, clock: Clock) -> None:
    """Nothing else makes it look: looking may take long."""
    page = jobs_page(fold, job_type="nightly")
    assert listed(page) == []
    heard = hearing(page, fold)
    fold.create(job_type="hourly")
    wanted = fold.create(job_type="nightly")

    assert listed(page) == [wanted]
    fold.create(job_type="hourly")
    fold.start(wanted)
    assert heard == [False, True, False, True]


def test_a_list_that_takes_long_is_looked_up_less_often(
    fold: Fold, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile it is as it was; what changed then is not forgotten."""
    page, took_s, look = jobs_page(fold), 0.25, fold.replica.list

    def slow(*asked: Any) -> Any:
        clock.now += took_s
        return look(*asked)

    monkeypatch.setattr(fold.replica, "list", slow)
    begun = clock.now
    assert listed(page) == []
    heard = hearing(page, fold)
    job_id = fold.create()
    clock.now = begun + took_s / LIST_SHARE - 0.001
    assert listed(page) == []
    clock.now += 0.002

    assert listed(page) == [job_id]
    assert heard == [True]
