"""The jobs of the bench: one that does nothing, one that says when it began, one that waits."""

import asyncio
import os
import struct
import time
from typing import Any

import msgspec

from fabric_jobs.executor import Executor, Job

executor = Executor()
ITEM_TYPE = "Bench.Item"
#: Where the handlers write what they saw: pairs of nanoseconds, by the machine's monotonic clock.
SEEN = "BENCH_SEEN"
PAIR = struct.Struct("<QQ")


class Sent(msgspec.Struct):
    """When the client sent the create, in nanoseconds of the monotonic clock."""

    sent: int


def _seen(*pair: int) -> None:
    with open(os.environ[SEEN], "ab", buffering=0) as file:
        file.write(PAIR.pack(*pair))


@executor.job(ITEM_TYPE, "nothing")
async def nothing(job: Job[Any]) -> None:
    """Ends at once."""


@executor.job(ITEM_TYPE, "timed")
async def timed(job: Job[Sent]) -> None:
    """Says when its first line ran."""
    _seen(job.payload.sent, time.monotonic_ns())


@executor.job(ITEM_TYPE, "waiting")
async def waiting(job: Job[Sent]) -> None:
    """Says that it began, and when it was cancelled."""
    _seen(job.payload.sent, 0)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        _seen(job.payload.sent, time.monotonic_ns())
        raise
