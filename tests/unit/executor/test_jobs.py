"""The job as its handler sees it."""

import asyncio
from typing import Any

import pytest

from fabric_jobs.contract.jobs import Progress
from tests.support.jobs import make_job


class Unprintable:
    """A text that raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("fraction", "message"),
    [(None, ""), ("abc", ""), (10**400, ""), (object(), ""), (0.5, Unprintable())],
)
def test_progress_that_is_no_number_is_logged_and_not_reported(
    caplog: pytest.LogCaptureFixture, fraction: Any, message: Any
) -> None:
    """Progress never fails a job."""
    reports: list[Progress] = []
    make_job(_report=reports.append).progress(fraction, message)

    assert reports == []
    assert "progress is not reported, because its arguments are wrong" in caplog.text


@pytest.mark.parametrize(
    ("fraction", "reported"),
    [(0.5, 0.5), (1.0000000002, 1), (50, 1), (-1, 0), (float("nan"), 0)],
)
def test_progress_outside_0_to_1_is_reported_as_the_nearer_limit(
    fraction: float, reported: float
) -> None:
    """A wrong fraction does not fail the job. NaN counts as 0."""
    reports: list[Progress] = []
    make_job(_report=reports.append).progress(fraction, "text")

    assert reports == [Progress(reported, "text")]


def test_progress_with_a_text_that_is_no_utf8_or_too_long_is_reported_without_that_part() -> None:
    """A handler gets the same result in a thread and in a process."""
    reports: list[Progress] = []
    make_job(_report=reports.append).progress(0.5, "caf\udce9" + "x" * 2000)

    assert reports == [Progress(0.5, "caf?" + "x" * 1020)]


async def test_progress_awaited_lets_other_tasks_run() -> None:
    """An `async def` handler that only computes lets heartbeats through where it reports."""
    calls: list[str] = []
    asyncio.get_running_loop().call_soon(calls.append, "other")
    await make_job(_report=lambda progress: None).progress(0.5)

    assert calls == ["other"]
