"""Heartbeats at the deadlines of a run: its run timeout, and the end of its cancel grace.

A deadline takes effect once a facade has read a heartbeat that was sent after it and lists the run.
Without these heartbeats that would be the next regular one, up to 5 seconds later.
"""

import asyncio

from fabric_jobs.executor.session.status_client import StatusClient

#: Seconds after the deadline at which the heartbeat is sent. An earlier one would not count.
MARGIN_S = 0.1


class DeadlineBeats:
    """The heartbeats of one run. It must be created in the event loop."""

    def __init__(self, client: StatusClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._is_closed = False

    def add(self, seconds: float | None) -> None:
        """Sends a heartbeat after this number of seconds. Can be called from any thread.

        `None` is no deadline.
        """
        if seconds is not None:
            self._loop.call_soon_threadsafe(self._start_timer, seconds)

    def close(self) -> None:
        """Sends no more heartbeats, because the run is over."""
        self._is_closed = True
        for timer in self._timers:
            timer.cancel()

    def _start_timer(self, seconds: float) -> None:
        if not self._is_closed:
            self._timers.append(self._loop.call_later(seconds + MARGIN_S, self._client.beat))
