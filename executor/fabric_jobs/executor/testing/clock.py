"""An event loop whose time is skipped where everything only waits for it.

Sockets, threads and processes answer in their own time: as long as one is at work, time passes as
it does. Seen are `asyncio.to_thread` and other executors of the loop, and asyncio's own processes.
"""

import asyncio
import selectors
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SkippingLoop(asyncio.SelectorEventLoop):
    """The loop; what runs on it is `asyncio` as ever."""

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._threads = 0
        self._processes: list[asyncio.SubprocessTransport] = []
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Seconds, those that were skipped included."""
        return super().time() + self._skipped_s

    def skip(self, seconds: float) -> None:
        """Passes so much time at once."""
        self._skipped_s += seconds

    @property
    def only_waits(self) -> bool:
        """Whether nothing that is known to be at work may wake it."""
        return not self._threads and all(
            process.get_returncode() is not None for process in self._processes
        )

    @contextmanager
    def thread(self) -> Iterator[None]:
        """Within, a thread is at work."""
        self._threads += 1
        try:
            yield
        finally:
            self._threads -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As ever; `asyncio.to_thread` comes here, and so does the look-up of a host's name."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1

        def ended(_: object) -> None:
            self._threads -= 1

        future.add_done_callback(ended)
        return future

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """As ever."""
        made = await super().subprocess_exec(*args, **kwargs)
        self._processes.append(made[0])
        return made

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """As ever."""
        made = await super().subprocess_shell(*args, **kwargs)
        self._processes.append(made[0])
        return made


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # One is the pipe by which threads wake the loop; the others are sockets.
        if timeout is None or timeout <= 0 or len(self.get_map()) > 1 or not self._loop.only_waits:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self._loop.skip(timeout)
        return ready
