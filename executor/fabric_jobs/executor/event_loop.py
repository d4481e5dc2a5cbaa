"""The event loop of an executor process: how it is made, and how its last tasks are cancelled."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger("fabric_jobs.executor")

P = ParamSpec("P")
T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Returns a loop of uvloop, or asyncio's own loop on Windows, which uvloop does not support.

    With uvloop an executor uses a fifth less CPU.
    """
    try:
        import uvloop
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    loop.set_exception_handler(_log_in_own_context)
    return loop


def _log_in_own_context(loop: asyncio.AbstractEventLoop, error: dict[str, Any]) -> None:
    """Logs an error that nothing handled, such as one of a task that a handler left.

    The garbage collector may find the task while a handler of another tenant runs, whose ids the
    line must not have. The line has the ids of the task's own job; none before Python 3.12.
    """
    owner = error.get("task") or error.get("future")
    get_context = getattr(owner, "get_context", Context)
    get_context().copy().run(loop.default_exception_handler, error)


class LoopThreads(ThreadPoolExecutor):
    """The threads of `asyncio.to_thread`. A call in one of them can't be ended.

    At its exit, Python waits until these calls have ended.
    """

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="asyncio")
        #: The calls that run, or wait for a thread.
        self._calls: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls the function in a thread."""
        call = super().submit(fn, *args, **kwargs)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    def end(self, timeout_s: float) -> bool:
        """Starts no more calls, and waits at most `timeout_s` seconds for those that run.

        Returns true if all calls have ended.
        """
        self.shutdown(wait=False, cancel_futures=True)
        return not wait(self._calls.copy(), timeout_s).not_done


def run_despite_exits(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine to its end, although a task or a callback raises `SystemExit`.

    asyncio would end the loop, and every job with it. A handler may have started the task.
    """
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit as error:
            if task.done():
                raise
            log.error("A task or a callback raised %r. It does not end the process", error)


async def cancel_other_tasks(timeout_s: float, keep: Collection[asyncio.Task[Any]] = ()) -> bool:
    """Cancels every task of the loop except the current one and those to keep.

    Waits at most `timeout_s` seconds for them.

    Returns true if all of these tasks have ended.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task(), *keep}
    for task in tasks:
        task.cancel()
    return not tasks or not (await asyncio.wait(tasks, timeout=timeout_s))[1]
