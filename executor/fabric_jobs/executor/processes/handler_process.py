"""One process that runs handlers, as the executor sees it."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress

from fabric_jobs.executor.errors import PROCESS_DIED, JobFailed
from fabric_jobs.executor.lifespan import STOP_TIMEOUT_S
from fabric_jobs.executor.processes.memory import private_mb
from fabric_jobs.executor.processes.messages import (
    LENGTH,
    FromProcess,
    Start,
    ToProcess,
    frame,
    from_process_decoder,
)

#: Seconds that an idle process may take to close its lifespan and to end. Then it is killed.
END_S = STOP_TIMEOUT_S + 3

#: Seconds that a process may take to end after it has closed the channel. Then it is killed.
CLOSED_S = 2.0

#: The code of a process that SIGKILL has ended. Windows has no such signal.
KILLED = -9

_CHANNEL_CLOSED = (
    "The handler closed its process's channel to the executor, so the process was killed. Close "
    "only files that the handler opened. Look for os.close and os.closerange."
)
_CRASHES = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL"}


class HandlerProcess:
    """A process of `fabric_jobs.executor.processes.child`, and the channel to it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        #: MB of private memory that the process had before its first handler. 0 if unknown.
        self.base_mb = 0
        self._end = asyncio.create_task(self._follow_end(), name=f"process {process.pid}")

    @classmethod
    async def start(cls, start: Start) -> "HandlerProcess":
        """Starts a process, and sends it the message. Returns before it is ready."""
        process = cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                *("-m", "fabric_jobs.executor.processes.child", str(os.getpid())),
                stdin=PIPE,
                stdout=PIPE,
                # A group of its own: Ctrl+C in a terminal does not reach it, and the processes that
                # a handler starts end with it.
                start_new_session=True,
            )
        )
        await process.send(start)
        return process

    @property
    def is_alive(self) -> bool:
        """False once the process has ended."""
        return self._process.returncode is None

    def left_mb(self) -> int:
        """Returns the MB of private memory that earlier handlers left in the process."""
        return private_mb(self._process.pid) - self.base_mb if self.base_mb else 0

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Calls the callback when the process has ended."""
        self._end.add_done_callback(lambda _: callback())

    def send_soon(self, message: ToProcess) -> None:
        """Sends a message. Does nothing if the process has ended."""
        assert self._process.stdin
        with suppress(OSError, RuntimeError):
            self._process.stdin.write(frame(message))

    async def send(self, message: ToProcess) -> None:
        """Sends a message, and waits while the channel is full. Does nothing after the end."""
        self.send_soon(message)
        assert self._process.stdin
        with suppress(OSError, RuntimeError):
            await self._process.stdin.drain()

    async def receive(self) -> FromProcess | None:
        """Waits for the next message. Returns `None` when the process has ended."""
        assert self._process.stdout
        try:
            (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
            return from_process_decoder.decode(await self._process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def _follow_end(self) -> int:
        code = await self._process.wait()
        # Processes that the handler forked would keep the channel open.
        self._kill_group()
        return code

    def kill(self) -> None:
        """Ends the process and all processes of its group at once."""
        # Its id may belong to another process once it has ended.
        if self.is_alive:
            self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def discard(self) -> None:
        """Ends the process at once, and closes the channel. Nobody may wait for a message."""
        self.kill()
        # A process leaves its pipes open while they hold unread bytes. asyncio has no other way.
        self._process._transport.close()  # type: ignore[attr-defined]

    async def wait(self) -> JobFailed:
        """Waits until the process has ended. Returns the failure of the handler that it ran.

        A process that has closed the channel ends within `CLOSED_S` seconds, or is killed.
        """
        await asyncio.wait({self._end}, timeout=CLOSED_S)
        was_alive = self.is_alive
        self.discard()
        code = await asyncio.shield(self._end)
        # A process that ended by itself just before the kill has its own exit code.
        is_killed = was_alive and code == KILLED
        return JobFailed(_CHANNEL_CLOSED if is_killed else _describe_death(code), code=PROCESS_DIED)

    async def end(self) -> None:
        """Ends the process, which must be idle. It closes its lifespan first."""
        assert self._process.stdin
        self._process.stdin.close()
        await asyncio.wait({self._end}, timeout=END_S)
        self.discard()
        await asyncio.shield(self._end)


def _describe_death(code: int) -> str:
    if code >= 0:
        return (
            f"The handler's process exited with code {code}. A handler must return or raise an "
            "exception. Look for os._exit, also in the libraries that it uses."
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        advice = (
            "If the system ran out of memory, let the handler use less, give the machine or "
            "container more, or run fewer at a time with `slots`."
        )
    elif name in _CRASHES:
        advice = (
            "A native library crashed. The executor's standard error has the stack. Update the "
            "library, or report the crash to its authors."
        )
    else:
        advice = "Look for the program that sent the signal."
    return f"The handler's process was ended by {name}. {advice}"
