"""The program `python -m fabric_jobs.executor MODULE:EXECUTOR`."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.executor_program import make_offer, read_line, run_program
from tests.support.fake_facade import FakeFacade

MY_JOBS = """
import asyncio, contextlib, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
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

@executor.job("Test.Item", "waiting")
async def waiting(job: Job) -> None:
    # More than there are threads.
    calls = [asyncio.to_thread(time.sleep, 600) for _ in range(40)]
    print("waiting", flush=True)
    await asyncio.gather(*calls)

async def exit() -> None:
    sys.exit(5)

@executor.job("Test.Item", "exiting")
async def exiting(job: Job) -> None:
    await asyncio.create_task(exit())

@executor.job("Test.Item", "leaving")
async def leaving(job: Job) -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()
    ThreadPoolExecutor().submit(time.sleep, 600)
"""


#: An executor whose lifespan fails.
BROKEN_JOBS = """
from contextlib import asynccontextmanager
from fabric_jobs.executor import Executor, Job

@asynccontextmanager
async def open_database():
    raise ConnectionError("db-1 is away")
    yield

executor = Executor(lifespan=open_database)

@executor.job("Test.Item", "test")
def handler(job: Job) -> None: ...
"""


#: The same executor, with short times to wait for a handler that ignores its cancel.
IMPATIENT_JOBS = """
from fabric_jobs.executor import api
from fabric_jobs.executor.runs import handler_task
from fabric_jobs.executor.runs import runs
from my_jobs import executor

handler_task.CLEAN_UP_TIMEOUT_S = runs.CLEAN_UP_TIMEOUT_S = api.END_S = 0.2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules of handlers."""
    (tmp_path / "my_jobs.py").write_text(MY_JOBS)
    (tmp_path / "broken_jobs.py").write_text(BROKEN_JOBS)
    (tmp_path / "impatient_jobs.py").write_text(IMPATIENT_JOBS)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "usage: python -m fabric_jobs.executor MODULE:EXECUTOR"),
        (["my_jobs"], {}, "'my_jobs' is not MODULE:EXECUTOR"),
        (["my_jobs:"], {}, "'my_jobs:' is not MODULE:EXECUTOR"),
        (["missing:executor"], {}, "no module missing"),
        (["my_jobs:number"], {}, "my_jobs has no Executor named number"),
        (["my_jobs:other"], {}, "my_jobs has no Executor named other"),
        (["my_jobs:empty"], {}, "no handler"),
        (["my_jobs:executor"], {"FABRIC_JOBS_SLOTS": "0"}, "FABRIC_JOBS_SLOTS='0'"),
        (["my_jobs:executor"], {"FABRIC_JOBS_FACADES": "x"}, "'x' is not HOST:PORT"),
    ],
)
def test_executor_program_with_a_wrong_argument_or_setting_exits_2_with_one_line(
    folder: Path, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    """The line goes to stderr, without a traceback. Nothing goes to stdout."""
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


def test_executor_program_whose_lifespan_fails_to_start_exits_1_with_one_line(folder: Path) -> None:
    """The line has the error and the place in the author's code. Kafka need not be there."""
    found = subprocess.run(
        [sys.executable, "-m", "fabric_jobs.executor", "broken_jobs:executor"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert found.returncode == 1
    line = "The lifespan failed at start: ConnectionError: db-1 is away"
    assert re.fullmatch(rf"{line} \(.*broken_jobs\.py, line 7\)\n", found.stderr)


async def test_executor_program_on_sigterm_drains_and_exits_0(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Its only line on stdout says that it is ready: connected, and with an assignment."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic) as program:
        line = await read_line(program)
        program.send_signal(signal.SIGTERM)
        rest, log = await program.communicate()

    ready = re.fullmatch(r"executor ready pool=(\S+) executor_id=(\S+) job_types=(\S+)\n", line)
    assert ready
    names = ("test", "blocking", "stubborn", "waiting", "exiting", "leaving")
    job_types = ",".join(f"Test.Item/{name}" for name in names)
    assert ready.groups() == (topic, facade.requests[0].hello.executor_id, job_types)
    assert program.returncode == 0, log.decode()
    assert rest == b""
    assert (facade.half_closed, facade.cancelled) == (1, 0)


async def test_executor_program_on_a_second_signal_exits_at_once(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Also while a handler blocks the event loop, which then does not handle the first signal."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic) as program:
        await read_line(program)
        facade.send(make_offer("blocking"))
        assert await read_line(program) == "blocking\n"
        program.send_signal(signal.SIGTERM)
        end = asyncio.create_task(program.communicate())
        # Repeated, because the system may deliver a signal to a thread other than the sleeping one.
        # Then the sleep goes on.
        while not end.done():
            with suppress(ProcessLookupError):
                program.send_signal(signal.SIGINT)
            await asyncio.wait({end}, timeout=0.2)

    assert program.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)


@pytest.mark.parametrize("job_type", ["stubborn", "waiting"])
async def test_executor_program_with_a_handler_that_does_not_end_exits_0(
    folder: Path, embedded: Cluster, topic: str, job_type: str
) -> None:
    """The job is handed back. The handler, or its call in a thread, ends with the process."""
    facade = FakeFacade()
    async with run_program(
        *(folder, facade, embedded, topic, "impatient_jobs:executor"),
        FABRIC_JOBS_DRAIN_S="0",
        FABRIC_JOBS_METRICS_ADDRESS="127.0.0.1:0",
    ) as program:
        await read_line(program)
        facade.send(make_offer(job_type))
        assert await read_line(program) == f"{job_type}\n"
        program.send_signal(signal.SIGTERM)
        _, log = await program.communicate()

    assert program.returncode == 0, log.decode()
    assert facade.outcomes == ["handed_back"]


@pytest.mark.parametrize("job_type", ["stubborn", "waiting"])
async def test_executor_program_that_is_refused_while_a_handler_does_not_end_exits_2(
    folder: Path, embedded: Cluster, topic: str, job_type: str
) -> None:
    """The last line says why."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic, "impatient_jobs:executor") as program:
        await read_line(program)
        facade.send(make_offer(job_type))
        assert await read_line(program) == f"{job_type}\n"
        facade.hello_refusal = "INVALID_HELLO"
        facade.end_stream()
        _, log = await program.communicate()

    assert program.returncode == 2, log.decode()
    assert log.decode().splitlines()[-1] == "The hello is wrong."


async def test_sys_exit_in_a_task_of_a_handler_fails_its_job_only(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """asyncio would end the event loop, and every job with it."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic) as program:
        await read_line(program)
        facade.send(make_offer("exiting", "a"))
        await facade.wait_until(lambda: facade.outcomes)
        facade.send(make_offer("test", "b"))
        await facade.wait_until(lambda: facade.outcomes[1:])
        program.send_signal(signal.SIGTERM)
        _, log = await program.communicate()

    assert program.returncode == 0, log.decode()
    assert facade.outcomes == ["failed", "completed"]
    assert facade.reports[0].failed.message == ("RuntimeError: The handler raised SystemExit(5)")
    assert "A task or a callback raised SystemExit(5)" in log.decode()


async def test_executor_program_ends_although_a_thread_of_a_handler_does_not(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Python waits at its exit for each thread that is no daemon."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic) as program:
        await read_line(program)
        facade.send(make_offer("leaving"))
        await facade.wait_until(lambda: facade.outcomes)
        program.send_signal(signal.SIGTERM)
        _, log = await program.communicate()

    assert program.returncode == 0, log.decode()
    assert facade.outcomes == ["completed"]
