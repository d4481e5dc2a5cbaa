"""Handlers for the acceptance tests. They use the public API of the executor only."""

import asyncio
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from fabric_jobs.executor import Executor, Job, JobFailed, JobStopped, Retry

executor = Executor()


class Journal(msgspec.Struct):
    """A payload that says where the handler writes, and when and how it ends."""

    #: The path of a file. The handler appends a line to it when it starts.
    journal: str
    #: The path of a file. The handler ends once it exists. Empty: it ends at once.
    until: str = ""
    #: What the handler does after a cancel.
    then: Literal["stop", "fail", "return"] = "stop"


@executor.job("Test.Item", "quick")
async def quick(job: Job[Any]) -> None:
    """Completes at once."""


@executor.job("Test.Item", "journaled")
async def journaled(job: Job[Journal]) -> None:
    """Appends its job id and attempt to the journal, and waits for the file `until`."""
    with Path(job.payload.journal).open("a") as journal:
        journal.write(f"{job.job_id} {job.attempt}\n")
    await job.progress(0.5, "half way")
    while job.payload.until and not Path(job.payload.until).exists():
        await asyncio.sleep(0.02)


@executor.job("Test.Item", "brief")
async def brief(job: Job[Journal]) -> None:
    """Does the same as `journaled`, and takes 0.2 seconds longer, less than any drain."""
    await journaled(job)
    await asyncio.sleep(0.2)


@executor.job("Test.Item", "raises")
async def raises(job: Job[Any]) -> None:
    """Raises an unexpected error."""
    raise ValueError("no such region")


@executor.job("Test.Item", "fails")
async def fails(job: Job[Any]) -> None:
    """Raises a permanent error of its choice."""
    raise JobFailed(
        "The region is closed. Choose another.", code="RegionClosed", source="User", permanent=True
    )


@executor.job("Test.Item", "cancellable", retry=Retry(max_attempts=2, initial_s=0.1))
async def cancellable(job: Job[Journal]) -> None:
    """Does the same as `journaled`, and appends a line to the journal when it is cancelled."""
    try:
        await journaled(job)
    except asyncio.CancelledError:
        with Path(job.payload.journal).open("a") as journal:
            journal.write(f"{job.job_id} cancelled\n")
        if job.payload.then == "fail":
            raise RuntimeError("while it stopped") from None
        if job.payload.then == "stop":
            raise


@executor.job("Test.Item", "reluctant")
def reluctant(job: Job[Journal]) -> None:
    """Runs until the file `until` exists, also after a cancel, and then stops or completes."""
    while not Path(job.payload.until).exists():
        time.sleep(0.02)
    if job.cancel_requested:
        raise JobStopped


@executor.job("Test.Item", "patient", retry=Retry(max_attempts=2, initial_s=3600, max_s=3600))
async def patient(job: Job[Any]) -> None:
    """Fails, and is retried after an hour."""
    raise RuntimeError("not today")


@executor.job("Test.Item", "flaky", retry=Retry(max_attempts=3, initial_s=0.2, factor=2))
async def flaky(job: Job[Journal]) -> None:
    """Appends its job id and attempt to the journal, and succeeds at the third attempt."""
    with Path(job.payload.journal).open("a") as journal:
        journal.write(f"{job.job_id} {job.attempt}\n")
    if job.attempt < 3:
        raise RuntimeError(f"attempt {job.attempt}")


@executor.job("Test.Item", "resumed", retry=Retry(max_attempts=2, initial_s=0.1))
async def resumed(job: Job[Journal]) -> None:
    """Appends the row at which it begins to the journal, and fails once, after row 6."""
    begin = job.checkpoint(int) or 0
    with Path(job.payload.journal).open("a") as journal:
        journal.write(f"{begin}\n")
    for row in range(begin, 10):
        if row == 7 and job.attempt == 1:
            raise RuntimeError("row 7")
        await job.save_checkpoint(row + 1)


@executor.job("Test.Item", "retried", retry=Retry(max_attempts=2, initial_s=0.1))
async def retried(job: Job[Journal]) -> None:
    """Does the same as `journaled`, and may be retried once."""
    await journaled(job)


@executor.job("Test.Item", "hopeless", retry=Retry(max_attempts=2, initial_s=0.1))
async def hopeless(job: Job[Any]) -> None:
    """Fails at each of its two attempts."""
    raise RuntimeError(f"attempt {job.attempt}")


@executor.job("Test.Item", "slow", run_timeout_s=0.5)
async def slow(job: Job[Any]) -> None:
    """Exceeds its run timeout."""
    await asyncio.Event().wait()


@executor.job("Test.Item", "timed", run_timeout_s=3)
async def timed(job: Job[Journal]) -> None:
    """Does as `journaled`, within a run timeout."""
    await journaled(job)


@executor.job("Test.Item", "synchronous")
def synchronous(job: Job[Journal]) -> None:
    """Writes the name of its thread to the journal."""
    job.progress(0.5, threading.current_thread().name)
    Path(job.payload.journal).write_text(threading.current_thread().name)


@executor.job("Test.Item", "endless")
async def endless(job: Job[Any]) -> None:
    """Runs until it is cancelled."""
    await asyncio.Event().wait()


@executor.job("Test.Item", "rare", slots=1)
async def rare(job: Job[Journal]) -> None:
    """Does the same as `journaled`, with one slot for its type."""
    await journaled(job)


@executor.job("Test.Item", "stubborn", cancel_grace_s=0.5, run_timeout_s=2)
async def stubborn(job: Job[Any]) -> None:
    """Ignores its first cancel."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


@executor.job("Test.Item", "definition-size")
async def fail_with_definition_size(job: Job[dict[str, Any]]) -> None:
    """Fail with the path and the size of the first part of the item's definition."""
    assert job.definition
    part = job.definition.parts[0]
    raise JobFailed(f"{part.path} {len(part.content())}", permanent=True)
