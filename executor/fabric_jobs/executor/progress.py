"""The progress of a run on its way out: the latest wins, one is in flight, one a second is sent."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fabric_jobs.contract.jobs import Progress

INTERVAL_S = 1.0


class ProgressFeed:
    """Takes progress from any thread; made and closed in the event loop's.

    A task sends what is put for as long as there is any: most runs say nothing, and need none.
    """

    def __init__(self, send: Callable[[Progress], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._latest: Progress | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def put(self, progress: Progress) -> None:
        """Takes the place of one that was not sent yet."""
        with self._lock:
            is_first, self._latest = self._latest is None, progress
        # One call a value that is sent: a tight loop in a thread must not fill the event loop.
        if is_first:
            with suppress(RuntimeError):  # the loop is closed: the executor has ended before
                self._loop.call_soon_threadsafe(self._begin)

    async def close(self) -> None:
        """No more will come: sends the last at once."""
        self._closing.set()
        if self._sending:
            await self._sending
        await self._send_latest()

    def cancel(self) -> None:
        """Sends nothing from now on."""
        self._closing.set()
        if self._sending:
            self._sending.cancel()

    def _begin(self) -> None:
        if self._sending is None and not self._closing.is_set():
            self._sending = asyncio.create_task(self._send_on(), name="progress")

    async def _send_on(self) -> None:
        while self._latest and not self._closing.is_set():
            await self._send_latest()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._closing.wait()
        self._sending = None

    async def _send_latest(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None:
            await self._send(latest)
