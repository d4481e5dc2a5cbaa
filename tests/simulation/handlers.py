"""The handlers of the simulated executors. Each run is written into a journal in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from fabric_jobs.executor import Executor, Job, JobFailed, JobStopped, Retry
from tests.chaos.handlers import COMPLETED, ITEM_TYPE, KINDS, PATIENT, Kind, journal_run
from tests.chaos.history import Line
from tests.simulation.loop import current_place

#: The end of a job that would go on for longer than the longest life.
EXPIRED = frozenset({("Failed", "JobExpired")})
#: The kinds of jobs that the simulation adds to those of the chaos suite.
MORE_KINDS = {
    "saving": Kind(8, COMPLETED),
    "stubborn": Kind(3, COMPLETED),
    "giving up": Kind(3, frozenset({("Failed", "HandlerError"), ("Failed", "ExecutorLost")})),
    "patient": Kind(4, COMPLETED),
    "breaking": Kind(5, COMPLETED | {("Failed", "RegionClosed")}),
    "long": Kind(2, COMPLETED),
    "endless": Kind(1, EXPIRED),
    # The first job of some worlds, because it makes a world twice as long.
    "dormant": Kind(0, EXPIRED),
}
DAY_S = 86_400.0
JOURNAL: list[Line] = []

executor = Executor()


@contextmanager
def journaled(job: Job[Any]) -> Iterator[None]:
    """Writes a line at the run's start, and a line about its end."""
    with journal_run(partial(_write, job)):
        yield


def _write(job: Job[Any], what: str) -> None:
    place = current_place()
    if place.alive:
        now = asyncio.get_running_loop().time()
        JOURNAL.append(Line(job.job_id, job.attempt, place.number, now, what))


@executor.job(ITEM_TYPE, "instant", retry=PATIENT)
async def instant(job: Job[Any]) -> None:
    """Completes at once."""
    with journaled(job):
        pass


@executor.job(ITEM_TYPE, "short", retry=PATIENT, slots=2)
async def short(job: Job[Any]) -> None:
    """Reports progress with its attempt."""
    with journaled(job):
        for step in range(1, 5):
            await job.progress(step / 4, f"attempt {job.attempt}")
            await asyncio.sleep(0.6)


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


@executor.job(
    ITEM_TYPE,
    "overdue",
    retry=Retry(max_attempts=2, initial_s=0.2),
    run_timeout_s=0.5,
    cancel_grace_s=5,
)
async def overdue(job: Job[Any]) -> None:
    """Runs longer than its run timeout."""
    with journaled(job):
        await asyncio.Event().wait()


@executor.job(ITEM_TYPE, "lasting", retry=PATIENT)
async def lasting(job: Job[Any]) -> None:
    """Runs longer than a drain."""
    with journaled(job):
        await asyncio.sleep(8)


@executor.job(ITEM_TYPE, "saving", retry=PATIENT)
async def saving(job: Job[Any]) -> None:
    """Saves how far it is, and goes on from there in the next attempt."""
    with journaled(job):
        for step in range(job.checkpoint(int) or 0, 4):
            try:
                await asyncio.sleep(1.2)
            except asyncio.CancelledError:
                await job.save_checkpoint(step)
                raise
            await job.save_checkpoint(step + 1)
            if step == 1 and job.attempt == 1:
                raise RuntimeError(f"attempt {job.attempt}")


@executor.job(ITEM_TYPE, "stubborn", retry=PATIENT, cancel_grace_s=3)
async def stubborn(job: Job[Any]) -> None:
    """Ignores a cancel for longer than its grace."""
    with journaled(job):
        end = asyncio.get_running_loop().time() + 6
        while (left_s := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left_s)
            except asyncio.CancelledError:
                continue


@executor.job(ITEM_TYPE, "giving up", retry=Retry(max_attempts=3, initial_s=0.5))
async def giving_up(job: Job[Any]) -> None:
    """Raises `JobStopped` without a cancel, which counts as a failure."""
    with journaled(job):
        raise JobStopped(f"attempt {job.attempt}")


@executor.job(ITEM_TYPE, "patient", retry=Retry(max_attempts=1000, initial_s=60, factor=1))
async def patient(job: Job[Any]) -> None:
    """Succeeds at the second attempt, after a minute."""
    with journaled(job):
        if job.attempt < 2:
            raise RuntimeError(f"attempt {job.attempt}")


@executor.job(ITEM_TYPE, "breaking", retry=PATIENT)
async def breaking(job: Job[Any]) -> None:
    """Fails for good when it is cancelled."""
    with journaled(job):
        try:
            await asyncio.sleep(8)
        except asyncio.CancelledError:
            raise JobFailed(f"attempt {job.attempt}", code="RegionClosed", permanent=True) from None


@executor.job(ITEM_TYPE, "long", retry=PATIENT)
async def long(job: Job[Any]) -> None:
    """Runs for minutes, over several leases."""
    with journaled(job):
        await asyncio.sleep(200)


@executor.job(ITEM_TYPE, "endless", retry=PATIENT)
async def endless(job: Job[Any]) -> None:
    """Runs until the job's longest life is over."""
    with journaled(job):
        await asyncio.Event().wait()


@executor.job(ITEM_TYPE, "dormant", retry=Retry(max_attempts=1000, initial_s=DAY_S, max_s=DAY_S))
async def dormant(job: Job[Any]) -> None:
    """Fails, and waits for its next attempt until the job's longest life is over."""
    with journaled(job):
        raise RuntimeError(f"attempt {job.attempt}")


#: Every kind with a handler here. Handlers in threads and in processes take real time.
ALL_KINDS = {
    kind: how
    for kind, how in (KINDS | MORE_KINDS).items()
    if (ITEM_TYPE, kind) in executor.handlers
}
