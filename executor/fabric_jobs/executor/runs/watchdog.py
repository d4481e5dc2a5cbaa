"""Detects a handler that blocks the event loop, and logs its name and its stack.

A thread ticks, and counts those of its own ticks that the loop does not answer. A process that was
stopped, or that got no CPU time, has no such ticks either, so no handler is blamed for it.

A call that does not release the interpreter's lock (GIL) stops this thread, too. It is logged
afterwards, on Linux: the thread's tick was late, and the thread woke up very often meanwhile. A
thread that waits for the lock looks for it every 5 ms. A stopped process does not.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType

from fabric_jobs.executor.runs.calls import handler_stacks
from fabric_jobs.runtime.telemetry.logs import warn_with_stack

log = logging.getLogger("fabric_jobs.executor")

TICK_S = 0.25
#: The loop counts as blocked after this many ticks in a row without an answer.
MAX_MISSED_TICKS = 4
#: How often a thread that does not wait for the interpreter's lock gives up the CPU in a late tick.
MAX_SWITCHES = 20


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
    while not _wait(stopped):
        answered.clear()
        with suppress(RuntimeError):  # the executor has ended, and its loop is closed
            loop.call_soon_threadsafe(answered.set)
        missed = 0
        while not (stopped.is_set() or _wait(answered)):
            missed += 1
            if missed == MAX_MISSED_TICKS:
                _warn(loop, sys._current_frames()[thread_id])


def _wait(event: threading.Event) -> bool:
    """Waits for the event for one tick, and logs it if the whole process stood still meanwhile."""
    begin, switches = time.monotonic(), _count_switches()
    is_set = event.wait(TICK_S)
    took_s, switches = time.monotonic() - begin, _count_switches() - switches
    if took_s > (1 + MAX_MISSED_TICKS) * TICK_S and switches > MAX_SWITCHES:
        _warn_of_standstill(took_s)
    return is_set


def _count_switches() -> int:
    """Returns how often this thread has given up the CPU. Returns 0 if that is not known."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _warn_of_standstill(seconds: float) -> None:
    stacks = [f"{name}:\n{stack}\n" for name, stack in handler_stacks().items()]
    warn_with_stack(
        log,
        "".join(stacks).rstrip(),
        "The process stood still for %.1f s, because a call held the interpreter's lock (GIL). "
        "Meanwhile no other job ran, and no heartbeat or cancel was handled. Run such a handler "
        'with run_in="process". %d handlers in threads are now at the lines below',
        seconds,
        len(stacks),
    )


def _warn(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> None:
    task = asyncio.current_task(loop)
    frames = []
    # The loop's own frames come last here: the frames before them are of the task that it runs.
    while frame and frame.f_globals.get("__name__") != "asyncio.events":
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    stack = traceback.StackSummary.extract(iter(reversed(frames)))
    warn_with_stack(
        log,
        "".join(stack.format()).rstrip(),
        "%s blocks the event loop. Meanwhile no other job runs, and no heartbeat or cancel is "
        "handled. Define the handler with `def` instead of `async def`, or move the blocking call "
        "to asyncio.to_thread. The stack is below",
        task.get_name() if task else "A callback",
    )
