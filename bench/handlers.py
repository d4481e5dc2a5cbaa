"""The bench's handlers: one does nothing, one writes its start time, one waits for a cancel."""

import asyncio
import os
import struct
import time
from typing import Any

import msgspec

from fabric_jobs.executor import Executor, Job

executor = Executor()
ITEM_TYPE = "Bench.Item"
#: The variable of the file for pairs of nanoseconds of the machine's monotonic clock.
SEEN = "BENCH_SEEN"
PAIR = struct.Struct("<QQ")
#: The job types of `bench.figures.mixed`, and the slots that an executor has for the slow one.
QUICK, SLOW = "quick", "slow"
SLOW_SLOTS = 3
SLOW_S = 2.0
#: What these two write at their end: the job's number, whether it is slow, the process, and when
#: the handler began and ended.
MIXED_RUN = struct.Struct("<I?IQQ")


class Sent(msgspec.Struct):
    """The payload: the create's send time in nanoseconds of the monotonic clock."""

    sent: int


class Numbered(msgspec.Struct):
    """The number of a job among those of its round."""

    number: int


def _append(record: bytes) -> None:
    with open(os.environ[SEEN], "ab", buffering=0) as file:
        file.write(record)


def _seen(*pair: int) -> None:
    _append(PAIR.pack(*pair))


@executor.job(ITEM_TYPE, "nothing")
async def nothing(job: Job[Any]) -> None:
    """Completes at once."""


@executor.job(ITEM_TYPE, "timed")
async def timed(job: Job[Sent]) -> None:
    """Writes the send time and the time of its first line."""
    _seen(job.payload.sent, time.monotonic_ns())


@executor.job(ITEM_TYPE, "waiting")
async def waiting(job: Job[Sent]) -> None:
    """Writes its start time and the time of its cancel."""
    _seen(job.payload.sent, 0)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        _seen(job.payload.sent, time.monotonic_ns())
        raise


@executor.job(ITEM_TYPE, QUICK)
async def quick(job: Job[Numbered]) -> None:
    """Takes 0.02 seconds."""
    await _mixed(job, is_slow=False, seconds=0.02)


@executor.job(ITEM_TYPE, SLOW, slots=SLOW_SLOTS)
async def slow(job: Job[Numbered]) -> None:
    """Takes seconds, in slots of its own."""
    await _mixed(job, is_slow=True, seconds=SLOW_S)


async def _mixed(job: Job[Numbered], *, is_slow: bool, seconds: float) -> None:
    begun = time.monotonic_ns()
    await asyncio.sleep(seconds)
    ended = time.monotonic_ns()
    _append(MIXED_RUN.pack(job.payload.number, is_slow, os.getpid(), begun, ended))


#: Handlers in processes. They have an executor of their own, because an executor with such handlers
#: starts a process.
computing = Executor()


@computing.job(ITEM_TYPE, "compute", run_in="process")
def compute(job: Job[int]) -> None:
    """Uses the CPU for as many loops as the payload says."""
    for _ in range(job.payload):
        pass


@computing.job(ITEM_TYPE, "compute-nothing", run_in="process")
def compute_nothing(job: Job[Any]) -> None:
    """Completes at once in a process."""


@computing.job(ITEM_TYPE, "nothing-in-thread")
def nothing_in_thread(job: Job[Any]) -> None:
    """Completes at once in a thread."""
