"""Handlers that write each run into a journal, which shows what really ran.

Each kind of job has one handler, and `KINDS` lists how its jobs may end.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fabric_jobs.executor import Executor, Job, JobFailed, JobStopped, Retry

ITEM_TYPE = "Chaos.Item"
#: The variable that names this process's journal; the suite sets it.
JOURNAL = "CHAOS_JOURNAL"
#: Lost leases count as failures, so this allows more attempts than any run loses leases.
PATIENT = Retry(max_attempts=1000, initial_s=0.2, factor=1)
#: Seconds that a drain waits for handlers; a run of `lasting` takes longer.
DRAIN_S = 1.5


class Kind(NamedTuple):
    """The relative frequency of a kind of jobs, and its possible ends beside Cancelled."""

    weight: int
    #: Pairs of Fabric's status and the error code, which is empty unless the job failed.
    ends: frozenset[tuple[str, str]]


COMPLETED = frozenset({("Completed", "")})
KINDS = {
    "instant": Kind(50, COMPLETED),
    "short": Kind(20, COMPLETED),
    "threaded": Kind(10, COMPLETED),
    "separate": Kind(4, COMPLETED),
    "flaky": Kind(9, COMPLETED),
    "failing": Kind(5, frozenset({("Failed", "RegionClosed")})),
    # Both attempts may also be lost with their executors.
    "overdue": Kind(3, frozenset({("Failed", "RunTimedOut"), ("Failed", "ExecutorLost")})),
    "lasting": Kind(3, COMPLETED),
}

executor = Executor()


@contextmanager
def journaled(job: Job[Any], pid: int | None = None) -> Iterator[None]:
    """Write a line at the run's start, and a line about its end.

    `pid` is the executor's process id, by default that of this process. Each line is one append to
    the file, so kill -9 can't remove it.
    """
    with journal_run(partial(_write, job, pid or os.getpid())):
        yield


@contextmanager
def journal_run(write: Callable[[str], None]) -> Iterator[None]:
    """Call `write` with what the run does: at its start and at its end."""
    write("started")
    try:
        yield
    except BaseException as error:
        write(type(error).__name__)
        raise
    write("returned")


def _write(job: Job[Any], pid: int, what: str) -> None:
    line = {
        "job": job.job_id,
        "attempt": job.attempt,
        "pid": pid,
        "at": time.monotonic(),
        "what": what,
    }
    with Path(os.environ[JOURNAL]).open("ab", buffering=0) as journal:
        journal.write(json.dumps(line).encode() + b"\n")


@executor.job(ITEM_TYPE, "instant", retry=PATIENT)
async def instant(job: Job[Any]) -> None:
    """Completes at once."""
    with journaled(job):
        pass


@executor.job(ITEM_TYPE, "short", retry=PATIENT)
async def short(job: Job[Any]) -> None:
    """Reports progress with its attempt, so that progress of a superseded attempt shows."""
    with journaled(job):
        for step in range(1, 5):
            await job.progress(step / 4, f"attempt {job.attempt}")
            await asyncio.sleep(0.1)


@executor.job(ITEM_TYPE, "threaded", retry=PATIENT)
def threaded(job: Job[Any]) -> None:
    """Works in a thread, and stops when the job is cancelled."""
    with journaled(job):
        for step in range(1, 9):
            if job.cancel_requested:
                raise JobStopped
            job.progress(step / 8, f"attempt {job.attempt}")
            time.sleep(0.05)


@executor.job(ITEM_TYPE, "separate", retry=PATIENT, run_in="process")
def separate(job: Job[Any]) -> None:
    """Works in a process of its own, which the executor has started, and uses checkpoints."""
    with journaled(job, pid=os.getppid()):
        for step in range(job.checkpoint(int) or 0, 8):
            job.raise_if_cancelled()
            job.progress(step / 8, f"attempt {job.attempt}")
            time.sleep(0.05)
            job.save_checkpoint(step + 1)


@executor.job(ITEM_TYPE, "flaky", retry=PATIENT)
async def flaky(job: Job[Any]) -> None:
    """Succeeds at the third attempt."""
    with journaled(job):
        if job.attempt < 3:
            raise RuntimeError(f"attempt {job.attempt}")


@executor.job(ITEM_TYPE, "failing", retry=PATIENT)
async def failing(job: Job[Any]) -> None:
    """Fails with a permanent error."""
    with journaled(job):
        raise JobFailed(f"attempt {job.attempt}", code="RegionClosed", permanent=True)


@executor.job(ITEM_TYPE, "overdue", retry=Retry(max_attempts=2, initial_s=0.2), run_timeout_s=0.5)
async def overdue(job: Job[Any]) -> None:
    """Runs longer than its run timeout."""
    with journaled(job):
        await asyncio.Event().wait()


@executor.job(ITEM_TYPE, "lasting", retry=PATIENT)
async def lasting(job: Job[Any]) -> None:
    """Runs longer than a drain, so that a stopping executor hands it back."""
    with journaled(job):
        await asyncio.sleep(2 * DRAIN_S)
