"""Litestar and SAQ on Redis: the queue, and the worker's settings."""

import os
from typing import Any

from saq import Queue

# Each of the slots holds a connection while it waits for work; by default there are 100 at most.
queue = Queue.from_url(f"{os.environ['BENCH_BACKEND']}?max_connections=1000")


async def nothing(context: Any, *, sent: int) -> None:
    """Ends at once; SAQ reports that once."""


async def say_ready(context: Any) -> None:
    """For the bench."""
    print("worker ready", flush=True)


settings = {
    "queue": queue,
    "functions": [nothing],
    "concurrency": int(os.environ["BENCH_SLOTS"]),
    "startup": say_ready,
}
