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


class Sent(msgspec.Struct):
    """The payload: the create's send time in nanoseconds of the monotonic clock."""

    sent: int


def _seen(*pair: int) -> None:
    with open(os.environ[SEEN], "ab", buffering=0) as file:
        file.write(PAIR.pack(*pair))


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
