"""SIGTERM that comes while a program still imports, as PID 1 of a container gets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [["fabric_jobs.facade"], ["fabric_jobs.executor", "fabric_jobs.cli.example:executor"]],
    ids=["facade", "executor"],
)
def test_sigterm_during_the_imports_ends_the_program_with_0(
    command: list[str], tmp_path: Path
) -> None:
    """A handler is set before the first import that takes time; without one the exit code is -15.

    A stand-in for a module that both programs import says when it is imported, and waits.
    """
    (tmp_path / "msgspec.py").write_text(
        "import time\nprint('importing', flush=True)\nwhile True: time.sleep(0.05)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"importing\n"
        process.terminate()

        assert process.wait(timeout=10) == 0
