"""The lifespan of an executor: what is opened once before the first run and closed after the last.

Rule 1: one task enters and leaves the context manager, because libraries such as anyio require it.
Rule 2: both are bounded. A lifespan that does not end is cancelled, and then nothing waits for it.
Rule 3: a lifespan may end by itself, for example because a task of its task group fails. What the
lifespan opened is closed then, so no more jobs may start.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from fabric_jobs.executor.errors import LifespanError
from fabric_jobs.executor.runs.final_report import members_of
from fabric_jobs.executor.runs.tracebacks import strip_executor_frames

log = logging.getLogger("fabric_jobs.executor")

R = TypeVar("R")
#: Returns the context manager whose value handlers get as `job.resources`.
Lifespan = Callable[[], AbstractAsyncContextManager[R]]

#: Seconds that a lifespan may take to close what it opened.
STOP_TIMEOUT_S = 5.0
#: Seconds that a lifespan that was cancelled may take to end.
CANCEL_TIMEOUT_S = 1.0


def _log_end(error: LifespanError) -> None:
    log.error("%s", error, exc_info=error.__cause__)


@asynccontextmanager
async def open_resources(
    lifespan: Lifespan[R] | None,
    start_timeout_s: float,
    on_end: Callable[[LifespanError], None] = _log_end,
) -> AsyncIterator[Any]:
    """Enters the lifespan, yields its value, and leaves the lifespan when the block ends.

    Without a lifespan the value is `None`. Raises `LifespanError` if the lifespan can't be entered,
    or if it takes more than `start_timeout_s` seconds. An error while it is left is only logged,
    because every run has ended by then. `on_end` is called if the lifespan ends by itself inside
    the block.
    """
    if lifespan is None:
        yield None
        return
    closing = asyncio.Event()
    opened: asyncio.Future[R] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_hold_open(lifespan, opened, closing), name="lifespan")
    try:
        waited: set[asyncio.Future[Any]] = {task, opened}
        await asyncio.wait(waited, timeout=start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            raise _start_error(task, start_timeout_s)

        def report_end(_: asyncio.Task[None]) -> None:
            if not closing.is_set():
                on_end(_error_of(task, "The lifespan ended by itself"))

        task.add_done_callback(report_end)
        yield opened.result()
    finally:
        if task.done():
            pass
        elif opened.done():
            closing.set()
            await _wait_for_stop(task)
        else:
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)


async def _hold_open(
    lifespan: Lifespan[R], opened: asyncio.Future[R], closing: asyncio.Event
) -> None:
    async with lifespan() as value:
        opened.set_result(value)
        await closing.wait()


def _start_error(task: asyncio.Task[None], start_timeout_s: float) -> LifespanError:
    if not task.done():
        return LifespanError(f"The lifespan did not start within {start_timeout_s:g} seconds.")
    return _error_of(task, "The lifespan failed at start")


def _error_of(task: asyncio.Task[None], text: str) -> LifespanError:
    """Returns the error that says what the task raised, and where."""
    raised = asyncio.CancelledError() if task.cancelled() else task.exception()
    if raised is None:
        return LifespanError(text)
    # The text of a `TaskGroup`'s exception group does not name the error of the task.
    members = members_of(raised)
    shown = members[0] if len(members) == 1 else raised
    frames = traceback.extract_tb(strip_executor_frames(shown).__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    # One line, because it is all that the program prints.
    reason = " ".join(f"{type(shown).__name__}: {shown}".split())
    error = LifespanError(f"{text}: {reason}{place}")
    error.__cause__ = strip_executor_frames(raised)
    return error


async def _wait_for_stop(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
    if not task.done():
        log.warning("The lifespan did not stop within %g seconds. It is abandoned", STOP_TIMEOUT_S)
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)
    elif not task.cancelled() and (error := task.exception()):
        log.error("The lifespan failed at stop", exc_info=strip_executor_frames(error))
