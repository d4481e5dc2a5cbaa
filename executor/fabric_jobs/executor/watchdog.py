"""Watches the event loop from a thread, and names the handler that blocks it.

It counts those of its own ticks that the loop leaves unanswered: where the whole process was
stopped, or had to wait for the machine, they did not come either, and nobody is accused. So a call
that holds the interpreter's lock all the time is not seen either.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType

log = logging.getLogger("fabric_jobs.executor")

TICK_S = 0.25
#: Ticks without an answer after which the loop counts as blocked.
MISSED_TICKS = 4


@asynccontextmanager
async def watching() -> AsyncIterator[None]:
    """Warns of each time that the running loop, in this thread, stands still for over a second."""
    over = threading.Event()
    loop = asyncio.get_running_loop()
    watch = threading.Thread(
        target=_watch, args=(loop, threading.get_ident(), over), name="watchdog", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(loop: asyncio.AbstractEventLoop, thread_id: int, over: threading.Event) -> None:
    answered = threading.Event()
    while not over.wait(TICK_S):
        answered.clear()
        with suppress(RuntimeError):  # the loop is closed: the executor has ended before
            loop.call_soon_threadsafe(answered.set)
        missed = 0
        while not (over.is_set() or answered.wait(TICK_S)):
            missed += 1
            if missed == MISSED_TICKS:
                _warn(loop, sys._current_frames()[thread_id])


def _warn(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
    task = asyncio.current_task(loop)
    frames = []
    # Below the loop's own code lies what it called last.
    while frame and frame.f_globals.get("__name__") != "asyncio.events":
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    stack = traceback.StackSummary.extract(iter(reversed(frames)))
    log.warning(
        "%s blocks the event loop: no other job, heartbeat or cancel goes on meanwhile. Define the "
        "handler by `def` in place of `async def`, or call what blocks with asyncio.to_thread. "
        "It is at:\n%s",
        task.get_name() if task else "A callback",
        "".join(stack.format()).rstrip(),
    )
