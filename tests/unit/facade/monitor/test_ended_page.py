"""The page of ended jobs: its table, its plots, and how often the jobs are counted."""

import re
from datetime import timedelta
from html import unescape

import pytest

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.monitor import ended_page
from fabric_jobs.facade.monitor.ended_page import EndedCounter, Period
from fabric_jobs.facade.monitor.plots import HEIGHT, STEP, make_plot
from fabric_jobs.facade.replica.ended import Counts, EndedType
from tests.support.monitor import FoldedJobs, browser_client, make_monitor


def end_jobs(fold: FoldedJobs, job_type: str, completed: int, failed: int, minutes: int) -> None:
    """Creates jobs that ended this many minutes ago, after they had waited 4 s and run 9 s."""
    for place in range(completed + failed):
        fold.age = timedelta(minutes=minutes, seconds=13)
        job_id = fold.create(job_type=job_type)
        fold.age -= timedelta(seconds=4)
        fold.start(job_id)
        fold.age -= timedelta(seconds=9)
        if place < failed:
            fold.fail(job_id, "no")
        else:
            fold.complete(job_id)
    fold.age = timedelta()


@pytest.fixture
def fold() -> FoldedJobs:
    """Jobs of two types that ended within the hour, and others that ended five hours ago."""
    fold = FoldedJobs()
    end_jobs(fold, "nightly", 6, 2, 10)
    end_jobs(fold, "hourly", 30, 0, 20)
    end_jobs(fold, "hourly", 0, 9, 5 * 60)
    return fold


async def rows_of(fold: FoldedJobs, path: str) -> dict[str, str]:
    """Returns the texts of the table's rows, by the type."""
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    found = re.findall(r"<tr[^>]*>\s*<th scope=\"row\"(.*?)</tr>", answer.text, re.S)
    texts = [" ".join(unescape(re.sub(r"<[^>]*>", " ", f"<{row}")).split()) for row in found]
    return {text.split()[0]: text for text in texts}


async def test_ended_page_shows_counts_rates_and_times_of_each_type(fold: FoldedJobs) -> None:
    """The table ends with all types. Waiting and running times are apart."""
    rows = await rows_of(fold, "/monitor/ended")

    assert list(rows) == ["nightly", "hourly", "All"]
    assert rows["nightly"].endswith("8 0.133 2 25.0 % 0 4.3 s 4.3 s 8.6 s 8.6 s")
    assert rows["hourly"].endswith("30 0.5 0 0.0 % 0 4.3 s 4.3 s 8.6 s 8.6 s")
    assert rows["All"].startswith("All types 38 0.633 2 5.3 % 0")


async def test_ended_page_of_a_longer_period_counts_earlier_jobs_too(fold: FoldedJobs) -> None:
    """The order is that of the column in the URL."""
    rows = await rows_of(fold, "/monitor/ended?period=day&sort=ended")

    assert list(rows) == ["nightly", "hourly", "All"]
    assert " 39 0.0271 9 23.1 % 0 " in rows["hourly"]
    week = await rows_of(fold, "/monitor/ended?period=week&sort=ended")
    assert " 39 0.00387 9 23.1 % 0 " in week["hourly"]


async def test_ended_page_without_an_ended_job_says_so() -> None:
    """The plot is empty."""
    _, app = make_monitor(FoldedJobs())
    async with browser_client(app) as client:
        page = (await client.get("/monitor/ended?period=week")).text

    assert "No job ended in the last week." in page
    assert "<path" not in page


async def test_ended_jobs_are_counted_once_for_all_viewers_in_an_interval(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each period is counted on its own."""
    counted = []
    read = fold.replica.ended

    async def count(*arguments: int) -> object:
        counted.append(arguments[1:])
        return await read(*arguments)

    monkeypatch.setattr(fold.replica, "ended", count)
    counter = EndedCounter(fold.replica)
    for period in (Period.HOUR, Period.HOUR, Period.DAY):
        await counter.types(period)
    assert len(counted) == 2
    monkeypatch.setattr(ended_page, "COUNT_INTERVAL_S", 0)
    monkeypatch.setattr(ended_page, "MAX_COUNT_SHARE", float("inf"))
    counter = EndedCounter(fold.replica)
    for _ in range(3):
        await counter.types(Period.HOUR)
    assert len(counted) == 5


def test_plot_has_a_bar_for_each_bucket_with_its_statuses_above_each_other() -> None:
    """The highest bar fills the plot, and the description has the numbers."""
    series = [(0, 0, 0), (2, 1, 1), (1, 0, 0)]
    plot = make_plot(EndedType(JobKind("i", "j"), Counts(3, 1, 1, (), ()), series), "Ended jobs")

    assert plot.width == 3 * STEP
    assert dict(plot.paths) == {
        "failed": f"M4 {HEIGHT}.0v-10.0h3v10.0z",
        "completed": "M4 30.0v-20.0h3v20.0zM8 40.0v-10.0h3v10.0z",
        "cancelled": "M4 10.0v-10.0h3v10.0z",
    }
    assert plot.description == "Ended jobs, 4 at most: 3 completed, 1 failed, 1 cancelled."
