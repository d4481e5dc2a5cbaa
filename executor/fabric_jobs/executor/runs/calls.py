"""Calls a handler's function: a `def` function in the current thread or in a new one."""

import asyncio
import inspect
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

from fabric_jobs.executor.errors import NoThreadError
from fabric_jobs.executor.jobs import Job

#: The beginning of the name of each thread in which a handler runs.
_HANDLER_THREADS = "job "

Function = Callable[[Job[Any]], object]

log = logging.getLogger("fabric_jobs.executor")
#: The names of the functions that have returned a value.
_warned: set[str] = set()
_DEFINE_ASYNC = "Define the handler with `async def`, and await it."


def call_def(function: Function, job: Job[Any]) -> None:
    """Calls a `def` function. Raises what it raises, and what `verify_result` raises."""
    verify_result(function, function(job))


def verify_result(function: Function, result: object) -> None:
    """Logs one warning for each function that returned a value, which nobody gets.

    Raises `TypeError` if the function returned work instead of doing it, such as a coroutine.
    """
    name = getattr(function, "__qualname__", repr(function))
    await_it = "Await it." if inspect.iscoroutinefunction(function) else _DEFINE_ASYNC
    if inspect.iscoroutine(result):
        result.close()
        if await_it is _DEFINE_ASYNC and inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise TypeError(
                f"{name} is an `async def` function behind a decorator that is not. Its wrapper "
                "returned a coroutine that nobody awaited. Let the wrapper be `async def` too, and "
                "await the function."
            )
        raise TypeError(f"{name} returned a coroutine, so its work was not done. {await_it}")
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"{name} returned a generator, so its work was not done. Iterate over it.")
    if inspect.isawaitable(result):
        raise TypeError(
            f"{name} returned {type(result).__name__}, which nobody awaited. {await_it}"
        )
    key = f"{function.__module__}.{function.__qualname__}"
    if result is not None and key not in _warned:
        _warned.add(key)
        log.warning(
            "%s returned a value of type %s, which is dropped. Store it, and return nothing",
            *(key, type(result).__name__),
        )


def handler_stacks() -> dict[str, str]:
    """Returns where each handler in a thread is now, by the name of the thread."""
    frames = sys._current_frames()
    return {
        thread.name: _format_handler_stack(frames[thread.ident])
        for thread in threading.enumerate()
        if thread.name.startswith(_HANDLER_THREADS) and thread.ident in frames
    }


def _format_handler_stack(frame: FrameType) -> str:
    """Returns where a handler's thread is, as a traceback does, from the handler's function on."""
    stack = traceback.extract_stack(frame)
    for number, line in enumerate(stack, 1):
        if (line.filename, line.name) == (__file__, call_def.__name__):
            del stack[:number]
            break
    return "".join(stack.format()).rstrip()


def call_in_thread(function: Function, job: Job[Any]) -> asyncio.Future[BaseException | None]:
    """Calls the function in a new thread. The future resolves to the exception that it raised.

    The thread is a daemon, unlike the threads of a pool, so a handler that does not end can't keep
    the process alive. The slots of the executor bound the number of threads.

    Raises `NoThreadError` if the thread can't be started.
    """
    loop = asyncio.get_running_loop()
    # The exception is the future's result, because a future can't raise StopIteration.
    raised: asyncio.Future[BaseException | None] = loop.create_future()
    context = copy_context()

    def settle(error: BaseException | None) -> None:
        if not raised.done():
            raised.set_result(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            context.run(call_def, function, job)
        except BaseException as exception:
            error = exception
        with suppress(RuntimeError):  # the executor has ended, and its loop is closed
            loop.call_soon_threadsafe(settle, error)

    name = f"{_HANDLER_THREADS}{job.job_id} attempt {job.attempt}"
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except (RuntimeError, MemoryError) as error:
        raise NoThreadError(f"The handler was not called: {error}") from error
    return raised
