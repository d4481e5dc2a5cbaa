"""The progress of a run on its way out: the latest wins, one is in flight, one a second is sent."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fabric_jobs.jobs import Progress

INTERVAL_S = 1.0


class ProgressFeed:
    """Takes progress from any thread; made and run in the event loop's."""

    def __init__(self, send: Callable[[Progress], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._latest: Progress | None = None
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    def put(self, progress: Progress) -> None:
        """Takes the place of one that was not sent yet."""
        with self._lock:
            is_first, self._latest = self._latest is None, progress
        # One call a value that is sent: a tight loop in a thread must not fill the event loop.
        if is_first:
            with suppress(RuntimeError):  # the loop is closed: the executor has ended before
                self._loop.call_soon_threadsafe(self._changed.set)

    def close(self) -> None:
        """No more will come: `run` sends the last at once, and returns."""
        self._closing.set()
        self._changed.set()

    async def run(self) -> None:
        """Sends what is put, until it is closed."""
        while not self._closing.is_set():
            await self._changed.wait()
            self._changed.clear()
            await self._send_latest()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._closing.wait()
        await self._send_latest()

    async def _send_latest(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None:
            await self._send(latest)
