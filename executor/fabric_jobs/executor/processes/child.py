"""The program of a process with handlers: `python -m fabric_jobs.executor.processes.child PARENT`.

It reads calls from standard input, runs one at a time, and writes what happens to standard output.
What a handler prints goes to standard error. A handler runs as it does in the executor itself: an
`async def` function in the event loop, and a `def` function in a thread of its own. `PARENT` is the
executor's process id: no process outlives its executor.
"""

import asyncio
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import AsyncExitStack

from fabric_jobs.executor.errors import LifespanError
from fabric_jobs.executor.event_loop import new_event_loop, run_despite_exits
from fabric_jobs.executor.lifespan import open_resources
from fabric_jobs.executor.processes.child_call import ChildCall, load
from fabric_jobs.executor.processes.child_channel import Channel, ForwardingHandler
from fabric_jobs.executor.processes.current_call import follow_threads
from fabric_jobs.executor.processes.functions import import_object
from fabric_jobs.executor.processes.memory import OwnMemory
from fabric_jobs.executor.processes.messages import (
    Began,
    Call,
    CallMessage,
    Cancel,
    Check,
    Checked,
    Function,
    Open,
    Opened,
    ProgressSeen,
    Start,
    TokenAnswer,
)
from fabric_jobs.executor.signals import handle_stop_signals
from fabric_jobs.runtime.telemetry import providers, tracing

log = logging.getLogger("fabric_jobs.executor")

#: The option of Linux's `prctl` that ends this process with its parent.
PR_SET_PDEATHSIG = 1


class Child:
    """The process: a thread reads messages, and the event loop does the work."""

    def __init__(self, channel: Channel, start: Start, logs: ForwardingHandler) -> None:
        self._logs = logs
        self._channel = channel
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._work: asyncio.Queue[ChildCall | Check | Open | None] = asyncio.Queue()
        self._running: ChildCall | None = None
        self._memory = OwnMemory()
        self._has_resources = False
        self._resources: object = None

    async def run(self) -> None:
        """Works until the executor closes the channel. Then it closes the lifespan.

        Each call begins in the folder in which the process was started.
        """
        folder = _current_folder()
        threading.Thread(target=self._try_to_read, name="fabric-jobs messages", daemon=True).start()
        async with AsyncExitStack() as stack:
            while work := await self._work.get():
                if isinstance(work, Check):
                    self._channel.send(Checked(reason=_why_not_importable(work.function)))
                elif isinstance(work, Open):
                    self._channel.send(Opened(reason=await self._try_to_open(stack)))
                else:
                    ended = await work.run(lambda: self._open_once(stack))
                    # The folder of one job may be gone when another tenant's job begins.
                    _change_folder(folder)
                    self._running = None
                    self._channel.send(ended)

    async def _try_to_open(self, stack: AsyncExitStack) -> str:
        try:
            await self._open_once(stack)
        except LifespanError as error:
            return str(error)
        return ""

    async def _open_once(self, stack: AsyncExitStack) -> object:
        """Opens the lifespan, unless it is open. Returns its value. Raises `LifespanError`.

        A lifespan that has ended by itself is opened again.
        """
        if not self._has_resources:
            name, start_s = self._start.lifespan, self._start.lifespan_start_s
            lifespan = import_object(name) if name else None
            self._resources = await stack.enter_async_context(
                open_resources(lifespan, start_s, self._forget_resources)
            )
            self._has_resources = True
        return self._resources

    def _forget_resources(self, error: LifespanError) -> None:
        self._has_resources, self._resources = False, None
        log.error(
            "%s. The lifespan starts again before the next job", error, exc_info=error.__cause__
        )

    def _try_to_read(self) -> None:
        try:
            self._read()
        except BaseException:
            # For example, memory is short. Without this thread no call would begin, and no call
            # could be cancelled.
            traceback.print_exc()
            os._exit(1)

    def _read(self) -> None:
        while (message := self._channel.receive()) is not None:
            running = self._running
            if isinstance(message, CallMessage) and not (
                running and running.number == message.call
            ):
                continue  # its call has ended
            if isinstance(message, Call):
                # Set here, so that no cancel is lost.
                self._running = ChildCall(message, self._channel, self._memory, self._logs)
                self._channel.send(Began(call=message.number))
                self._put(self._running)
            elif isinstance(message, Check | Open):
                self._put(message)
            elif isinstance(message, Cancel) and running:
                running.cancel()
            elif isinstance(message, ProgressSeen) and running:
                running.progress_seen.set()
            elif isinstance(message, TokenAnswer) and running:
                running.tokens.settle(message)
        if self._running:
            # The executor has died, so nothing waits for the handler.
            os._exit(1)
        self._put(None)

    def _put(self, work: ChildCall | Check | Open | None) -> None:
        self._loop.call_soon_threadsafe(self._work.put_nowait, work)


def _current_folder() -> str:
    """Returns the working folder, or the root if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return os.sep


def _change_folder(folder: str) -> None:
    """Changes the working folder, or changes to the root if the folder was deleted.

    For example, an update of the program deletes the folder while the old executor drains.
    """
    try:
        os.chdir(folder)
    except OSError:
        os.chdir(os.sep)


def _why_not_importable(function: Function) -> str:
    try:
        load(function)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _end_with_parent(parent_id: int) -> None:
    if sys.platform == "linux":
        # Also while a C call holds the interpreter's lock, so that no thread here can notice.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.name == "posix" and os.getppid() != parent_id:
        sys.exit(0)  # the executor has died meanwhile


async def _run(channel: Channel, start: Start, logs: ForwardingHandler) -> None:
    await Child(channel, start, logs).run()


def main() -> None:
    """Runs the program."""
    _end_with_parent(int(sys.argv[1]))
    channel = Channel.from_standard_streams()
    faulthandler.enable()
    start = channel.receive()
    assert isinstance(start, Start)
    sys.path[:] = start.sys_path
    follow_threads()
    logs = ForwardingHandler(channel)
    logs.install(start.log_level)
    # The executor asks for an end by a message. An orchestrator may signal every process.
    with (
        handle_stop_signals(lambda number, frame: None),
        providers.export_telemetry("fabric-jobs-executor", os.environ, prometheus=False),
    ):
        tracing.enable()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            run_despite_exits(runner.get_loop(), _run(channel, start, logs))


if __name__ == "__main__":
    main()
