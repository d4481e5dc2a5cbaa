"""The end of the executor's program: the children and the threads that its handlers left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.executor_program import make_offer, read_line, run_program
from tests.support.fake_facade import FakeFacade

SPAWNS = 15
JOBS = [f"job-{number}" for number in range(8)]
MY_JOBS = f"""
import asyncio, multiprocessing, time
from fabric_jobs.executor import Executor, Job
executor = Executor()

@executor.job("Test.Item", "spawning")
async def spawning(job: Job) -> None:
    for _ in range({SPAWNS}):
        process = await asyncio.create_subprocess_exec("true")
        if code := await process.wait():
            raise RuntimeError(f"true exited with {{code}}")

def sleep(started):
    started.set()
    time.sleep(600)

def fork_one() -> multiprocessing.Process:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=sleep, args=(started,))
    child.start()
    started.wait()
    return child

@executor.job("Test.Item", "terminating")
def terminating(job: Job) -> None:
    child = fork_one()
    child.terminate()
    child.join(20)
    if child.exitcode is None:
        child.kill()
        raise RuntimeError("the child ignores SIGTERM")

@executor.job("Test.Item", "leaving")
def leaving(job: Job) -> None:
    print(fork_one().pid, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of handlers."""
    (tmp_path / "my_jobs.py").write_text(MY_JOBS)
    return tmp_path


async def test_handlers_that_spawn_many_programs_all_complete(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """gRPC's fork handlers are disabled. With them the executor dies of SIGSEGV at random."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic, timeout_s=60) as program:
        await read_line(program)
        for job_id in JOBS:
            facade.send(make_offer("spawning", job_id))
        await facade.wait_until(lambda: len(facade.outcomes) == len(JOBS), timeout_s=50)
        program.send_signal(signal.SIGTERM)
        await program.communicate()

    assert facade.outcomes == ["completed"] * len(JOBS)
    assert program.returncode == 0


async def test_forked_child_of_a_handler_when_terminated_ends(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """The child does not inherit the executor's handler of SIGTERM."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic, timeout_s=60) as program:
        await read_line(program)
        facade.send(make_offer("terminating"))
        await facade.wait_until(lambda: facade.outcomes, timeout_s=30)
        program.send_signal(signal.SIGTERM)
        await program.communicate()

    assert facade.outcomes == ["completed"]
    assert program.returncode == 0


async def test_executor_program_when_it_stops_ends_the_children_that_handlers_left(
    folder: Path, embedded: Cluster, topic: str
) -> None:
    """Python would wait for such a child, which sleeps for 10 minutes."""
    facade = FakeFacade()
    async with run_program(folder, facade, embedded, topic, timeout_s=60) as program:
        await read_line(program)
        facade.send(make_offer("leaving"))
        child_id = int(await read_line(program))
        program.send_signal(signal.SIGTERM)
        await program.wait()

    assert program.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child_id, 0)


@pytest.mark.parametrize(
    "stdout",
    [
        "None",
        pytest.param(
            "open('/dev/full', 'w')",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full"),
        ),
    ],
)
def test_program_with_a_thread_that_goes_on_ends_although_its_output_can_not_be_written(
    stdout: str,
) -> None:
    """Standard output may be closed, or nobody may read it. The exit code is kept."""
    program = f"""
import sys, threading, time
from fabric_jobs.executor import signals
signals.EXIT_S = 0.1
sys.stdout = {stdout}
print("what a handler printed")
threading.Thread(target=time.sleep, args=(60,)).start()
signals.end_despite_threads(3)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 3
