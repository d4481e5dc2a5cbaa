"""The last lines that a handler logged, as the report of a failed attempt carries them."""

import asyncio
import logging
import subprocess
import sys
from contextvars import copy_context
from typing import Any

import msgspec
import pytest

from fabric_jobs.contract.errors import MAX_LOG_TAIL_BYTES
from fabric_jobs.executor import Job
from fabric_jobs.executor.runs.log_tail import LogTail, keep_log_lines
from tests.support.executor_runs import connect_runs, start_run
from tests.support.fake_facade import FakeFacade

log = logging.getLogger("jobs.of.an.author")


@pytest.mark.parametrize("is_async", [True, False])
async def test_failed_run_reports_the_lines_of_its_handler_only(
    facade: FakeFacade, is_async: bool
) -> None:
    """Lines of tasks and of `asyncio.to_thread` belong to it. Lines of the executor do not."""

    def handle(job: Job[Any]) -> None:
        log.warning("row %d is odd", 7)
        logging.getLogger("fabric_jobs.executor").warning("an own line")
        raise RuntimeError("row 7")

    async def handle_async(job: Job[Any]) -> None:
        log.warning("row %d is odd", 7)
        await asyncio.to_thread(log.warning, "in a thread")
        raise RuntimeError("row 7")

    log.warning("before")
    async with connect_runs(facade, handle_async if is_async else handle) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)

    lines = facade.reports[0].log_tail.splitlines()
    found = [line.partition("jobs.of.an.author: ")[2] for line in lines]
    assert found == ["row 7 is odd", *(["in a thread"] if is_async else [])]
    assert " WARNING " in lines[0]


async def test_failed_run_is_logged_although_its_handler_disabled_the_logger(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """`logging.config` does so, unless it is told not to."""

    async def handle(job: Job[Any]) -> None:
        logging.getLogger("fabric_jobs.executor").disabled = True
        raise RuntimeError("row 7")

    async with connect_runs(facade, handle) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)

    assert any("RuntimeError: row 7" in line for line in caplog.messages)


async def test_completed_run_reports_no_lines(facade: FakeFacade) -> None:
    """They are for the author of a handler that failed."""

    async def handle(job: Job[Any]) -> None:
        log.warning("fine")

    async with connect_runs(facade, handle) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)

    assert facade.reports[0].log_tail == ""


def test_log_tail_keeps_the_last_lines_within_its_bound() -> None:
    """Also of a single long line, and of characters that JSON escapes."""
    tail = LogTail()
    for number in range(10_000):
        tail.add(f"line {number}")
    text = tail.text()
    assert text.endswith("line 9998\nline 9999\n")
    assert MAX_LOG_TAIL_BYTES - 20 < len(msgspec.json.encode(text)) <= MAX_LOG_TAIL_BYTES

    tail.add("\x00" * 100_000)
    assert len(msgspec.json.encode(tail.text())) <= MAX_LOG_TAIL_BYTES


def test_line_that_cannot_be_formatted_does_not_fail_the_handler(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """logging reports it on standard error, as for any handler."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    tail = LogTail()

    def write() -> None:
        keep_log_lines(tail)
        log.error("%d", "seven")
        log.error("next")

    copy_context().run(write)

    assert tail.text().endswith("jobs.of.an.author: next\n")
    assert "Logging error" in capsys.readouterr().err


def test_program_without_log_configuration_still_prints_its_warnings() -> None:
    """The handler that keeps the lines does not count as a configuration."""
    program = (
        "import logging\n"
        "from fabric_jobs.executor.runs.log_tail import LogTail, keep_log_lines\n"
        "keep_log_lines(LogTail())\n"
        "logging.getLogger('a').warning('seen')\n"
        "logging.getLogger('a').info('not seen')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30
    )

    assert done.stderr == "seen\n"
