"""The tracebacks that the author of a handler sees."""

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
    """Calls a function that raises."""
    fail()


@executor.job("Item", "thread")
def in_a_thread(job: Job[Any]) -> None:
    """Calls a function that raises."""
    fail()


def fail() -> None:
    """Raises an unexpected error."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("job_type", "function"), [("async", "in_the_loop"), ("thread", "in_a_thread")]
)
def test_failed_handler_is_logged_with_a_traceback_of_its_own_frames_only(
    job_type: str, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The frames of the executor, which come before the handler's, are left out."""
    run_job(executor, "Item", job_type)
    # asyncio logs too, when another test's pending task is collected.
    (record,) = (each for each in caplog.records if each.name.startswith("fabric_jobs"))
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
def test_module_that_can_t_be_imported_is_printed_with_a_traceback_of_its_own_frames_only(
    text: str, line: str, error: str, tmp_path: Path
) -> None:
    """The exit code is 1, because the command line is right."""
    file = tmp_path / "my_jobs.py"
    file.write_text(text)
    command = [sys.executable, "-m", "fabric_jobs.executor", "my_jobs:executor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert re.findall(r'File "(.+)", line (\d+)', done.stderr) == [(str(file), line)]
    assert done.stderr.splitlines()[-1].startswith(f"{error}: ")
