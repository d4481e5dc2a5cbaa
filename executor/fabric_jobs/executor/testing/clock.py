"""An event loop that skips the time for which everything in it only waits.

Sockets, threads and processes take real time, so while one of them is active, time is not skipped.
The loop knows when the threads of `asyncio.to_thread` and of other executors of the loop are idle.
Any other thread that was started after the loop counts as active until it ends, except in a block
of `ignore_unknown_threads`. The loop does not know threads that were started before it, and
processes that asyncio did not start.
"""

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Real seconds for which the loop waits before it looks again whether a thread has ended.
THREAD_POLL_S = 0.01


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing else can wake the loop."""

    #: A test may replace `time.monotonic`, as freezegun does. Timers would then never be due.
    _real_time = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._threads = 0
        #: The threads that were there before the loop, and the workers of its executors.
        self._quiet_threads = set(threading.enumerate())
        self._ignores_unknown_threads = False
        self._processes: list[asyncio.SubprocessTransport] = []
        super().__init__(_SkippingSelector(self))

    def time(self) -> float:
        """Returns the loop's time in seconds, including the skipped seconds."""
        return self._real_time() + self._skipped_s

    def skip(self, seconds: float) -> None:
        """Moves the loop's time forward."""
        self._skipped_s += seconds

    def has_active_work(self) -> bool:
        """Returns true if a known thread or process is active, which may wake the loop."""
        return self._threads > 0 or any(
            process.get_returncode() is None for process in self._processes
        )

    def has_unknown_thread(self) -> bool:
        """Returns true if there is a thread of which the loop does not know whether it is idle."""
        return not self._ignores_unknown_threads and not self._quiet_threads.issuperset(
            threading.enumerate()
        )

    @contextmanager
    def ignore_unknown_threads(self) -> Iterator[None]:
        """Counts the threads of which nothing is known as idle until the block ends."""
        self._ignores_unknown_threads = True
        try:
            yield
        finally:
            self._ignores_unknown_threads = False

    @contextmanager
    def active_thread(self) -> Iterator[None]:
        """Counts one more active thread until the block ends."""
        self._threads += 1
        try:
            yield
        finally:
            self._threads -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Runs the function as usual, and counts its thread as active.

        `asyncio.to_thread` and the look-up of host names call this method.
        """
        earlier = set(threading.enumerate())
        future = super().run_in_executor(executor, func, *args)
        # The executor starts its workers in this call, and keeps them for the next one.
        self._quiet_threads |= set(threading.enumerate()) - earlier
        self._threads += 1

        def on_end(_: object) -> None:
            self._threads -= 1

        future.add_done_callback(on_end)
        return future

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """Starts the process as usual, and remembers it."""
        result = await super().subprocess_exec(*args, **kwargs)
        self._processes.append(result[0])
        return result

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """Starts the process as usual, and remembers it."""
        result = await super().subprocess_shell(*args, **kwargs)
        self._processes.append(result[0])
        return result


class _SkippingSelector(selectors.DefaultSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # One file is the pipe through which threads wake the loop. Any other file is a socket.
        has_socket = len(self.get_map()) > 1
        if timeout is None or timeout <= 0 or has_socket or self._loop.has_active_work():
            return super().select(timeout)
        if self._loop.has_unknown_thread():
            # Nothing wakes the loop when the thread ends.
            return super().select(min(timeout, THREAD_POLL_S))
        ready = super().select(0)
        if not ready:
            self._loop.skip(timeout)
        return ready
