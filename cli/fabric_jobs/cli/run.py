"""Runs the asynchronous work of a command until the work ends or a signal stops it."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

#: The exit code of a command that a signal stopped before its work was done.
INTERRUPTED = 130

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T | None:
    """Runs the work. Returns its result, or None if a signal stopped it."""
    return asyncio.run(cancel_on_signal(work))


def run_or_exit(work: Coroutine[Any, Any, T]) -> T:
    """Runs the work and returns its result. Exits with `INTERRUPTED` if a signal stopped it."""
    if (result := run(work)) is None:
        sys.exit(INTERRUPTED)
    return result


async def cancel_on_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """Awaits the work, and cancels it on SIGINT, SIGTERM or SIGHUP.

    Returns the work's result, or None if a signal cancelled the work and it has cleaned up. A
    second signal cancels the clean-up.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    signalled = False

    def cancel(number: int, frame: FrameType | None) -> None:
        nonlocal signalled
        signalled = True
        loop.call_soon_threadsafe(task.cancel)

    numbers = [signal.SIGINT, signal.SIGTERM]
    # Closing the terminal stops the command as Ctrl-C does, except under nohup.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, cancel) for number in numbers}
    try:
        return await task
    except asyncio.CancelledError:
        if not signalled:
            raise
        return None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
