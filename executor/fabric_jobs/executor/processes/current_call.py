"""The call of a handler to which the running code belongs, in a process that runs handlers.

A handler may leave threads and tasks running. They go on while the process runs the job of another
tenant, so what they log must not count as that job's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The number of no call.
NO_CALL = 0

_number: ContextVar[int] = ContextVar("call_number")
#: The attribute of a thread that holds the number of the call whose code started the thread.
_ATTRIBUTE = "_fabric_jobs_call"


@contextmanager
def bind_call(number: int) -> Iterator[None]:
    """Lets the block, and the tasks and threads that it starts, belong to the call."""
    token = _number.set(number)
    try:
        yield
    finally:
        _number.reset(token)


def current_call() -> int:
    """Returns the number of the call of the current task or thread, or `NO_CALL`.

    A thread that a C library started belongs to no call.
    """
    number = _number.get(None)
    if number is None:
        number = getattr(threading.current_thread(), _ATTRIBUTE, NO_CALL)
    return number


def follow_threads() -> None:
    """Lets each thread that is started from now on belong to the call whose code starts it.

    A new thread has an empty context, so the thread itself holds the number.
    """
    start = threading.Thread.start

    def start_in_call(thread: threading.Thread) -> None:
        setattr(thread, _ATTRIBUTE, current_call())
        start(thread)

    threading.Thread.start = start_in_call  # type: ignore[method-assign,assignment]
