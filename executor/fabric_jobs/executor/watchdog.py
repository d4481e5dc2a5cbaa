"""Detects a handler that blocks the event loop, and logs its name and its stack.

A thread ticks, and counts those of its own ticks that the loop does not answer. A process that was
stopped, or that got no CPU time, has no such ticks either, so no handler is blamed for it. For the
same reason a call that never releases the interpreter's lock (GIL) is not detected.
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
#: The loop counts as blocked after this many ticks in a row without an answer.
MAX_MISSED_TICKS = 4


@asynccontextmanager
async def watch_event_loop() -> AsyncIterator[None]:
    """Watches the running loop, and warns once each time that it is blocked for over a second."""
    stopped = threading.Event()
    loop = asyncio.get_running_loop()
    thread = threading.Thread(
        target=_watch, args=(loop, threading.get_ident(), stopped), name="watchdog", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()


def _watch(loop: asyncio.AbstractEventLoop, thread_id: int, stopped: threading.Event) -> None:
    answered = threading.Event()
    while not stopped.wait(TICK_S):
        answered.clear()
        with suppress(RuntimeError):  # the executor has ended, and its loop is closed
            loop.call_soon_threadsafe(answered.set)
        missed = 0
        while not (stopped.is_set() or answered.wait(TICK_S)):
            missed += 1
            if missed == MAX_MISSED_TICKS:
                _warn(loop, sys._current_frames()[thread_id])


def _warn(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
    task = asyncio.current_task(loop)
    frames = []
    # The loop's own frames come last here: the frames before them are of the task that it runs.
    while frame and frame.f_globals.get("__name__") != "asyncio.events":
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    stack = traceback.StackSummary.extract(iter(reversed(frames)))
    log.warning(
        "%s blocks the event loop. Meanwhile no other job runs, and no heartbeat or cancel is "
        "handled. Define the handler with `def` instead of `async def`, or move the blocking call "
        "to asyncio.to_thread. The stack:\n%s",
        task.get_name() if task else "A callback",
        "".join(stack.format()).rstrip(),
    )
