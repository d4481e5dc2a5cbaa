"""The signals that stop an executor, and the end of what handlers leave: children and threads."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Seconds that children of `multiprocessing` may take to end after SIGTERM. Then they are killed.
END_S = 1.0
#: Seconds that threads and exit handlers may take at the end of the program.
EXIT_S = 5.0

Handler = Callable[[int, FrameType | None], None]

#: What the process did with the signals before `handle_stop_signals`. Empty outside its block.
_before: dict[signal.Signals, "Handler | int | None"] = {}


@contextmanager
def handle_stop_signals(handler: Handler) -> Iterator[None]:
    """Calls the handler for SIGTERM and SIGINT inside the block. Needs the main thread.

    A child that is forked inside the block does not inherit the handler.
    """
    _before.update({number: signal.signal(number, handler) for number in STOP_SIGNALS})
    try:
        yield
    finally:
        _restore()


def _restore() -> None:
    while _before:
        number, handler = _before.popitem()
        signal.signal(number, handler)


def _restore_in_child() -> None:
    """Lets a forked child end on SIGTERM, so that `Process.terminate` ends it.

    The executor's handler would only set a flag in the child's copy of the event loop. The signal
    must not be written to the wake-up pipe either, because the child shares it with the executor.
    """
    if _before:
        signal.set_wakeup_fd(-1)
        _before.clear()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_child)


def end_forked_children() -> None:
    """Ends the children that handlers started by `multiprocessing` and left running.

    Without this, Python waits at its exit until they end by themselves.
    """
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(END_S)
        if child.exitcode is None:
            child.kill()
            child.join(END_S)


def end_despite_threads(code: int) -> None:
    """Ends the process with this exit code soon, if it has not ended by itself.

    Python waits at its exit for threads of handlers, and for calls in their thread pools.
    """

    def end() -> None:
        time.sleep(EXIT_S)
        exit_at_once(code)

    threading.Thread(target=end, name="end", daemon=True).start()


def exit_at_once(code: int) -> NoReturn:
    """Ends the process without its threads, after it has written what was printed.

    Standard output may be closed, or nobody may read it.
    """
    with suppress(OSError, ValueError):
        print(end="", flush=True)
    os._exit(code)
