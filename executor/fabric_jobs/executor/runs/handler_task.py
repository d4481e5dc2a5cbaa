"""The task in which a handler runs, and the ways to end it.

A handler in a process is asked to end, and then its process is killed. Another handler can't be
killed: an `async def` handler may ignore a cancel, and a `def` handler runs in a thread. So the run
stops waiting for a handler that does not end; this is called abandoning it.
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from typing import Any

from fabric_jobs.executor import metrics
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.processes.call import ProcessCall
from fabric_jobs.executor.runs.calls import handler_stacks
from fabric_jobs.executor.runs.cancel_delivery import CancelDelivery
from fabric_jobs.runtime.telemetry.logs import warn_with_stack

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that a handler may take to clean up after a cancel that ends its run.
CLEAN_UP_TIMEOUT_S = 5.0


def raised_by(task: "asyncio.Task[None]") -> BaseException | None:
    """Returns what a task that has ended raised, also its `CancelledError`."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error


class HandlerTask:
    """A call of a handler, started at once in a task. It must be created in the event loop."""

    def __init__(
        self,
        call: Coroutine[Any, Any, None],
        *,
        handler: Handler,
        process: ProcessCall | None,
        run_name: str,
    ) -> None:
        """`process` is the call in a process that `call` waits for, if there is one."""
        self._loop = asyncio.get_running_loop()
        self._is_async = handler.is_async
        self._cancel_grace_s = handler.policy.cancel_grace_s
        self._kill_timer: asyncio.TimerHandle | None = None
        self._clean_up_s = min(CLEAN_UP_TIMEOUT_S, handler.policy.cancel_grace_s)
        self._process = process
        self._cancel_time: float | None = None
        self._run_name = run_name
        name = f"{run_name}, handler {handler.function.__qualname__}"
        self._delivery = CancelDelivery(call, name)
        self._task = self._delivery.task
        #: True if the handler has not ended, although its run is over.
        self.is_hung = False
        #: Done when the handler has ended or was abandoned.
        self._released: asyncio.Future[None] = self._loop.create_future()
        self._task.add_done_callback(self._release)

    async def wait(self) -> BaseException | None:
        """Waits until the handler has ended or was abandoned, and returns what it raised.

        An abandoned handler counts as cancelled.
        """
        await self._released
        return raised_by(self._task) if self._task.done() else asyncio.CancelledError()

    async def cancel_and_wait(self) -> None:
        """Cancels the handler, and gives it `CLEAN_UP_TIMEOUT_S` seconds to clean up.

        A `def` handler gets no time: its thread runs on, but nothing waits for it. A process is
        killed.
        """
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLEAN_UP_TIMEOUT_S)

    def cancel(self) -> None:
        """Cancels an `async def` handler. A `def` handler checks `job.cancel_requested`.

        A process is killed when the handler's `cancel_grace_s` is over. The facade's stop would
        come with a heartbeat, up to 5 seconds later.
        """
        is_first = self._cancel_time is None
        if is_first:
            self._cancel_time = self._loop.time()
        if self._process:
            self._process.cancel()
            if is_first:
                self._kill_timer = self._loop.call_later(self._cancel_grace_s, self._process.kill)
        elif self._is_async:
            self._delivery.cancel()

    def end(self) -> None:
        """Ends the handler, whose run is over.

        A handler in a process is cancelled. Its process is killed if the handler has not ended
        `CLEAN_UP_TIMEOUT_S` seconds after its first cancel, or after its shorter `cancel_grace_s`.
        Another handler is cancelled again every `CLEAN_UP_TIMEOUT_S` seconds until it ends. If it
        has not ended after the first of these periods, it is hung, which is logged.
        """
        if self._process is None:
            self._cancel_repeatedly(attempt=1)
            return
        self.cancel()
        assert self._cancel_time is not None
        self._loop.call_at(self._cancel_time + self._clean_up_s, self._process.kill)

    def abandon(self) -> bool:
        """Stops waiting for the handler, and kills its process if it has one.

        Returns false if the handler has ended already.
        """
        if self._task.done():
            return False
        if self._process:
            self._process.kill()
        self._release()
        return True

    def _release(self, task: asyncio.Task[None] | None = None) -> None:
        self._set_hung(False)
        if self._kill_timer:
            self._kill_timer.cancel()
        if not self._released.done():
            self._released.set_result(None)

    def _cancel_repeatedly(self, attempt: int) -> None:
        if self._task.done() or self._released.done():
            return
        if attempt == 2:
            self._set_hung(True)
            warn_with_stack(
                log,
                self._format_stack(),
                "%s: its handler ignores the cancel. It keeps its slot until it ends. A handler "
                'with run_in="process" can be ended. The stack is below',
                self._run_name,
            )
        self.cancel()
        self._loop.call_later(CLEAN_UP_TIMEOUT_S, self._cancel_repeatedly, attempt + 1)

    def _set_hung(self, is_hung: bool) -> None:
        if is_hung != self.is_hung:
            self.is_hung = is_hung
            metrics.HUNG_SLOTS.add(1 if is_hung else -1)

    def _format_stack(self) -> str:
        """Returns where the handler is now, as a traceback does: the innermost line is the last."""
        if self._is_async:
            stack = traceback.StackSummary.extract(iter(self._delivery.stack()))
            return "".join(stack.format()).rstrip()
        return handler_stacks().get(self._run_name, "unknown")
