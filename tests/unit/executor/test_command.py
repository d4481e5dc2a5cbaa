"""`python -m executor MODULE:NAME`."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.conftest import Cluster
from tests.unit.executor.fakes import FakeFacade, serving

MY_JOBS = """
from executor import Executor, Job
executor = Executor()
empty = Executor()
number = 1

@executor.job("Test.Item", "test")
async def handler(job: Job) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of handlers."""
    (tmp_path / "my_jobs.py").write_text(MY_JOBS)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "usage: python -m executor MODULE:NAME"),
        (["my_jobs"], {}, "'my_jobs' is not MODULE:NAME"),
        (["my_jobs:"], {}, "'my_jobs:' is not MODULE:NAME"),
        (["missing:executor"], {}, "no module missing"),
        (["my_jobs:number"], {}, "my_jobs has no Executor named number"),
        (["my_jobs:other"], {}, "my_jobs has no Executor named other"),
        (["my_jobs:empty"], {}, "no handler"),
        (["my_jobs:executor"], {"FABRIC_JOBS_SLOTS": "0"}, "FABRIC_JOBS_SLOTS='0'"),
        (["my_jobs:executor"], {"FABRIC_JOBS_FACADES": "x"}, "'x' is not HOST:PORT"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    """No traceback, and nothing on stdout."""
    found = subprocess.run(
        [sys.executable, "-m", "executor", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 2
    assert found.stdout == ""
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


async def test_a_ready_executor_says_so_in_one_line_and_ends_on_sigterm(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Once the stream is open and the partitions are assigned; logs go to stderr."""
    facade = FakeFacade()
    async with serving(facade), asyncio.timeout(30):
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "executor", "my_jobs:executor"),
            cwd=folder,
            env={
                **os.environ,
                **embedded.environment(topic),
                "FABRIC_JOBS_FACADES": facade.address,
                "FABRIC_JOBS_POOL": topic,
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        assert program.stdout is not None
        line = (await program.stdout.readline()).decode()
        program.send_signal(signal.SIGTERM)
        rest, log = await program.communicate()

    ready = re.fullmatch(r"executor ready pool=(\S+) executor_id=(\S+)\n", line)
    assert ready
    assert ready.groups() == (topic, facade.requests[0].hello.executor_id)
    assert program.returncode == 0, log.decode()
    assert rest == b""
    assert (facade.half_closed, facade.cancelled) == (1, 0)
