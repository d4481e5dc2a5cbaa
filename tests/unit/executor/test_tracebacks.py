"""What an author is shown of an exception."""

import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from fabric_jobs.executor import Executor, Job
from fabric_jobs.executor.testing import run_job

executor = Executor()


@executor.job("Item", "async")
async def in_the_loop(job: Job[Any]) -> None:
    """Fails."""
    fail()


@executor.job("Item", "thread")
def in_a_thread(job: Job[Any]) -> None:
    """Fails."""
    fail()


def fail() -> None:
    """By accident."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("job_type", "function"), [("async", "in_the_loop"), ("thread", "in_a_thread")]
)
def test_a_failed_handler_is_told_with_its_own_lines(
    job_type: str, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From the handler on, without the executor's."""
    run_job(executor, "Item", job_type)
    (record,) = caplog.records
    assert record.exc_info is not None

    assert [frame.name for frame in traceback.extract_tb(record.exc_info[2])] == [function, "fail"]


@pytest.mark.parametrize(
    ("text", "line", "error"),
    [
        ("x = [\n", "1", "SyntaxError"),
        ("\n1 / 0\n", "2", "ZeroDivisionError"),
        ("import missing_one\n", "1", "ModuleNotFoundError"),
    ],
)
def test_a_module_that_can_t_be_imported_is_told_with_its_own_lines(
    text: str, line: str, error: str, tmp_path: Path
) -> None:
    """And exit code 1: the command line is right."""
    file = tmp_path / "my_jobs.py"
    file.write_text(text)
    command = [sys.executable, "-m", "fabric_jobs.executor", "my_jobs:executor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert re.findall(r'File "(.+)", line (\d+)', done.stderr) == [(str(file), line)]
    assert done.stderr.splitlines()[-1].startswith(f"{error}: ")
