"""Litestar and SAQ on Redis: the queue, and the worker's settings."""

import os
from typing import Any

from saq import Queue

# Each slot holds a connection while it waits for work; the default maximum is 100.
queue = Queue.from_url(f"{os.environ['BENCH_BACKEND']}?max_connections=1000")


async def nothing(context: Any, *, sent: int) -> None:
    """Completes at once; SAQ reports the end once."""


async def say_ready(context: Any) -> None:
    """Print the ready line that the bench waits for."""
    print("worker ready", flush=True)


settings = {
    "queue": queue,
    "functions": [nothing],
    "concurrency": int(os.environ["BENCH_SLOTS"]),
    "startup": say_ready,
}
