"""The task in which a handler runs, and the ways to end it.

A handler can't be killed. An `async def` handler may ignore a cancel, and a `def` handler runs in a
thread. So the run stops waiting for a handler that does not end; this is called abandoning it.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that a handler may take to clean up after a cancel that ends its run.
CLEAN_UP_TIMEOUT_S = 5.0


class HandlerTask:
    """A call of a handler, started at once in a task. It must be created in the event loop."""

    def __init__(
        self, call: Coroutine[Any, Any, None], *, is_async: bool, run_name: str, handler_name: str
    ) -> None:
        self._is_async = is_async
        self._run_name = run_name
        self._task = asyncio.create_task(call, name=f"{run_name}, handler {handler_name}")
        #: Done when the handler has ended or was abandoned.
        self._released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task.add_done_callback(self._release)

    async def wait(self) -> BaseException | None:
        """Waits until the handler has ended or was abandoned, and returns what it raised.

        An abandoned handler counts as cancelled.
        """
        await self._released
        if not self._task.done() or self._task.cancelled():
            return asyncio.CancelledError()
        return self._task.exception()

    async def cancel_and_wait(self) -> None:
        """Cancels the handler, and gives it `CLEAN_UP_TIMEOUT_S` seconds to clean up.

        A `def` handler gets no time: its thread runs on, but nothing waits for it.
        """
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLEAN_UP_TIMEOUT_S)

    def cancel(self) -> None:
        """Cancels an `async def` handler, once. A `def` handler checks `job.cancel_requested`."""
        if self._is_async:
            self._task.cancel()

    def end(self) -> None:
        """Cancels an `async def` handler again every `CLEAN_UP_TIMEOUT_S` seconds until it ends.

        A handler that has not ended after the first of these periods is logged.
        """
        self._cancel_repeatedly(attempt=1)

    def abandon(self) -> bool:
        """Stops waiting for the handler. Returns false if the handler has ended already."""
        if self._task.done():
            return False
        self._release()
        return True

    def _release(self, task: asyncio.Task[None] | None = None) -> None:
        if not self._released.done():
            self._released.set_result(None)

    def _cancel_repeatedly(self, attempt: int) -> None:
        if self._task.done() or self._released.done():
            return
        if attempt == 2:
            log.warning(
                "%s: its handler ignores the cancel. It keeps its slot until it ends",
                self._run_name,
            )
        self.cancel()
        loop = asyncio.get_running_loop()
        loop.call_later(CLEAN_UP_TIMEOUT_S, self._cancel_repeatedly, attempt + 1)
