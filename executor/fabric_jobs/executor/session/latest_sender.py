"""Sends what a run reports while it goes on: the latest value, at most one a second."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

MIN_INTERVAL_S = 1.0


class LatestSender(Generic[T]):
    """Takes values from any thread, and sends the latest from the event loop that created it.

    A task exists only while there is a value to send, because most runs report none.
    """

    def __init__(self, send: Callable[[T], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._latest: T | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def put(self, value: T) -> None:
        """Replaces the value that waits to be sent, if any. Can be called from any thread."""
        with self._lock:
            was_empty, self._latest = self._latest is None, value
        # The loop is called once for each value that is sent, not for each value that is put, so
        # that a thread that reports in a tight loop does not flood the event loop.
        if was_empty:
            with suppress(RuntimeError):  # the executor has ended, and its loop is closed
                self._loop.call_soon_threadsafe(self._start)

    async def close(self) -> None:
        """Sends the last value at once. No value may be put afterwards."""
        self._closing.set()
        if self._task:
            await self._task
        await self._send_latest()

    def cancel(self) -> None:
        """Stops sending. A value that waits, or that is put later, is dropped."""
        self._closing.set()
        if self._task:
            self._task.cancel()

    def _start(self) -> None:
        if self._task is None and not self._closing.is_set():
            self._task = asyncio.create_task(self._send_until_idle(), name="latest sender")

    async def _send_until_idle(self) -> None:
        while self._latest and not self._closing.is_set():
            await self._send_latest()
            with suppress(TimeoutError):
                async with asyncio.timeout(MIN_INTERVAL_S):
                    await self._closing.wait()
        self._task = None

    async def _send_latest(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None:
            await self._send(latest)
