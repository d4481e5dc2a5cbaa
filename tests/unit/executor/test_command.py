"""`python -m fabric_jobs.executor MODULE:NAME`."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.conftest import Cluster
from tests.support.fake_facade import FakeFacade, serving

MY_JOBS = """
import asyncio, contextlib, time
from fabric_jobs.executor import Executor, Job
executor = Executor()
empty = Executor()
number = 1

@executor.job("Test.Item", "test")
async def handler(job: Job) -> None: ...

@executor.job("Test.Item", "blocking")
async def blocking(job: Job) -> None:
    print("blocking", flush=True)
    time.sleep(60)

@executor.job("Test.Item", "stubborn")
async def stubborn(job: Job) -> None:
    print("stubborn", flush=True)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of handlers."""
    (tmp_path / "my_jobs.py").write_text(MY_JOBS)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "usage: python -m fabric_jobs.executor MODULE:NAME"),
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
        [sys.executable, "-m", "fabric_jobs.executor", *arguments],
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


async def begin(
    folder: Path, facade: FakeFacade, embedded: Cluster, topic: str, **environment: str
) -> Process:
    """The program, between the embedded broker and the facade."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fabric_jobs.executor", "my_jobs:executor"),
        cwd=folder,
        env={
            **os.environ,
            **embedded.environment(topic),
            "FABRIC_JOBS_FACADES": facade.address,
            "FABRIC_JOBS_POOL": topic,
            **environment,
        },
        stdout=PIPE,
        stderr=PIPE,
    )


async def said(program: Process) -> str:
    """The next line that it prints."""
    assert program.stdout
    return (await program.stdout.readline()).decode()


async def test_a_ready_executor_says_so_in_one_line_and_ends_on_sigterm(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Once the stream is open and the partitions are assigned; logs go to stderr."""
    facade = FakeFacade()
    async with serving(facade), asyncio.timeout(30):
        program = await begin(folder, facade, embedded, topic)
        line = await said(program)
        program.send_signal(signal.SIGTERM)
        rest, log = await program.communicate()

    ready = re.fullmatch(r"executor ready pool=(\S+) executor_id=(\S+) job_types=(\S+)\n", line)
    assert ready
    kinds = "Test.Item/test,Test.Item/blocking,Test.Item/stubborn"
    assert ready.groups() == (topic, facade.requests[0].hello.executor_id, kinds)
    assert program.returncode == 0, log.decode()
    assert rest == b""
    assert (facade.half_closed, facade.cancelled) == (1, 0)


async def test_a_second_signal_ends_the_program_at_once(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Also where a handler blocks the loop, and the first one waits for it."""
    facade = FakeFacade()
    async with serving(facade), asyncio.timeout(30):
        program = await begin(folder, facade, embedded, topic)
        await said(program)
        facade.send(offering("blocking"))
        assert await said(program) == "blocking\n"
        program.send_signal(signal.SIGTERM)
        ending = asyncio.create_task(program.communicate())
        # Of two at once the system may hand one to another thread: that wakes nobody who sleeps.
        while not ending.done():
            with suppress(ProcessLookupError):
                program.send_signal(signal.SIGINT)
            await asyncio.wait({ending}, timeout=0.2)

    assert program.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)


async def test_a_handler_that_does_not_end_does_not_hold_the_program(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Its job is handed back, and it ends with the process."""
    facade = FakeFacade()
    async with serving(facade), asyncio.timeout(60):
        program = await begin(folder, facade, embedded, topic, FABRIC_JOBS_DRAIN_S="0")
        await said(program)
        facade.send(offering("stubborn"))
        assert await said(program) == "stubborn\n"
        program.send_signal(signal.SIGTERM)
        _, log = await program.communicate()

    assert program.returncode == 0, log.decode()
    assert facade.outcomes == ["handed_back"]


def offering(job_type: str) -> pb.SessionResponse:
    """An offer of one job."""
    job = pb.Job(job_id="a", attempt=1, item_type="Test.Item", job_type=job_type)
    return pb.SessionResponse(offers=[pb.Offer(job=job, payload=b"null")])
