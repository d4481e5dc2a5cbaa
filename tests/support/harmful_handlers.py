"""Handlers that harm their process, or use the job in a forked child."""

import asyncio
import multiprocessing
import os
import re
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fabric_jobs.executor import AccessTokenError, Executor, Job, JobFailed
from tests.support.process_handlers import ITEM_TYPE, Work

executor = Executor()


def write_files_beside_the_job(job: Job[Work]) -> None:
    """Opens more files than the forked process has closed, and uses the job meanwhile."""
    with ExitStack() as stack:
        files = [
            stack.enter_context((Path(job.payload.until) / str(number)).open("w"))
            for number in range(4)
        ]
        job.progress(0.5)
        job.save_checkpoint(1)
        try:
            job.access_token("https://storage.azure.com/.default").result()
        except AccessTokenError as error:
            files[0].write(str(error))


@executor.job(ITEM_TYPE, "forking", run_in="process")
def forking(job: Job[Work]) -> None:
    """Forks a process that uses the job."""
    child = multiprocessing.get_context("fork").Process(
        target=write_files_beside_the_job, args=(job,)
    )
    child.start()
    child.join(20)
    if child.exitcode != 0:
        child.kill()
        raise JobFailed(f"exit code {child.exitcode}")


def _own_pipes(mode: int) -> list[int]:
    """Returns the numbers of the open pipes of this mode, without the standard streams."""
    found = []
    for entry in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            flags = re.search(r"flags:\s+([0-7]+)", entry.read_text())
            target = os.readlink(f"/proc/self/fd/{entry.name}")
            if flags and int(flags[1], 8) & os.O_ACCMODE == mode and target.startswith("pipe:"):
                found.append(int(entry.name))
    return [number for number in found if number > 2]


@executor.job(ITEM_TYPE, "closing-output", run_in="process")
def closing_output(job: Job[Work]) -> None:
    """Closes the pipes to the executor, and goes on."""
    for number in _own_pipes(os.O_WRONLY):
        os.close(number)
    time.sleep(600)


@executor.job(ITEM_TYPE, "closing-input", run_in="process")
def closing_input(job: Job[Work]) -> None:
    """Closes the pipes from the executor."""
    for number in _own_pipes(os.O_RDONLY):
        os.close(number)


@executor.job(ITEM_TYPE, "moving", run_in="process")
def moving(job: Job[Work]) -> None:
    """Reports its folder, changes to a temporary folder, and deletes that folder."""
    job.progress(1, os.getcwd())
    with TemporaryDirectory() as folder:
        os.chdir(folder)


@executor.job(ITEM_TYPE, "removing", run_in="process")
def removing(job: Job[Work]) -> None:
    """Reports its folder, and deletes the folder `until`."""
    job.progress(1, os.getcwd())
    with suppress(FileNotFoundError):
        os.rmdir(job.payload.until)


@executor.job(ITEM_TYPE, "allocating", run_in="process", memory_limit_mb=256)
async def allocating(job: Job[Work]) -> None:
    """Allocates 1 GiB in a task."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_allocate())


async def _allocate() -> None:
    bytearray(2**30)


@executor.job(ITEM_TYPE, "spoiling", run_in="process")
def spoiling(job: Job[Work]) -> None:
    """Writes the id of its process to a file, and lets the process start no more threads."""
    with Path(job.payload.until).open("a") as calls:
        calls.write(f"{os.getpid()}\n")
    threading.stack_size(2**46)
