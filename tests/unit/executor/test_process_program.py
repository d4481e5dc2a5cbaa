"""Handlers in processes of the executor's program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.executor_program import make_offer, read_line, run_program
from tests.support.fake_facade import FakeFacade
from tests.support.processes import await_gone

MY_JOBS = """
import ctypes, os, sys
from fabric_jobs.executor import Executor, Job
executor = Executor()
wrong = Executor()

@executor.job("Test.Item", "endless", run_in="process")
def endless(job: Job) -> None:
    print(os.getpid(), file=sys.stderr, flush=True)
    ctypes.PyDLL(None).sleep(600)

wrong.job("Test.Item", "test", run_in="process")(lambda job: None)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of handlers."""
    (tmp_path / "my_jobs.py").write_text(MY_JOBS)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_process_of_a_handler_ends_when_the_executor_is_killed(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """The process ends even while a C call holds the interpreter's lock."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic, timeout_s=60) as program:
        await read_line(program)
        facade.send(make_offer("endless"))
        assert program.stderr
        line = ""
        while not line.strip().isdigit():
            line = (await program.stderr.readline()).decode()
        program.kill()
        await program.wait()
        await await_gone(int(line))


def test_executor_program_with_a_handler_that_no_process_can_import_exits_2_with_one_line(
    folder: Path,
) -> None:
    """The line has the handler and the reason."""
    found = subprocess.run(
        [sys.executable, "-m", "fabric_jobs.executor", "my_jobs:wrong"],
        cwd=folder,
        env={**os.environ, "FABRIC_JOBS_FACADES": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 2
    assert '<lambda> can\'t run with run_in="process": it is a lambda' in found.stderr
    assert found.stderr.count("\n") == 1
