"""Runs a facade or an executor as a child process, from its ready line to its end."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from pathlib import Path

from fabric_jobs.cli.errors import CommandError

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
STDERR = 2

#: Seconds to wait for the rest of the output of a child that has ended.
_OUTPUT_TIMEOUT_S = 1.0


class NotStartedError(CommandError):
    """The program ended before it was ready. The log holds its output."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        #: The program's exit code. A negative code is the number of the signal that ended it.
        self.code = code


class Program:
    """A running child process. Its name is the last part of the name of its module."""

    def __init__(self, name: str, process: Process, output: int, log: int) -> None:
        self.name = name
        #: The values of its ready line.
        self.ready: Mapping[str, str] = {}
        self._process = process
        self._ready_line: asyncio.Future[Mapping[str, str] | None] = asyncio.Future()
        self._output_ended = asyncio.Event()
        # A thread reads the pipe, because asyncio reports a child's end only when its pipe is
        # closed, and a process that a handler started can hold the pipe open.
        threading.Thread(
            target=self._read,
            args=(output, log, asyncio.get_running_loop()),
            name=f"output of {name}",
            daemon=True,
        ).start()

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        environ: Mapping[str, str],
        log: int = STDERR,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> "Program":
        """Starts `python -m MODULE` and waits for its ready line.

        All other output goes to the file descriptor `log`. Raises `NotStartedError` if the program
        ends first, and `CommandError` if it is not ready in time. In both cases it is stopped.
        """
        output, output_of_child = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *_leash_command(),
                *(sys.executable, "-m", module, *arguments),
                stdin=DEVNULL,
                stdout=output_of_child,
                stderr=log,
                # Without this, Python buffers a handler's output to a pipe.
                env={**environ, "PYTHONUNBUFFERED": "1"},
                # Ctrl-C then reaches the parent alone, which stops its children in order.
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(output_of_child)
        name = module.rpartition(".")[2]
        program = cls(name, process, output, log)
        try:
            async with asyncio.timeout(ready_timeout_s):
                ready = await program._ready_line
                if ready is None:
                    ended = await program.wait()
                    code = process.returncode or 0
                    raise NotStartedError(f"{ended} before it was ready.", code)
        except TimeoutError as error:
            await program.stop()
            message = f"The {name} was not ready within {ready_timeout_s:.0f} s."
            raise CommandError(message) from error
        except BaseException:
            await program.stop()
            raise
        program.ready = ready
        return program

    async def wait(self) -> str:
        """Waits until the program ends. Returns a sentence that says how, without its full stop."""
        code = await self._process.wait()
        if code < 0:
            return f"The {self.name} was ended by {signal.Signals(-code).name}"
        return f"The {self.name} ended with exit code {code}"

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Sends SIGTERM, and SIGKILL if the program has not ended after `timeout_s`."""
        try:
            self._signal(self._process.terminate)
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            # A second Ctrl-C cancels the wait; the program is killed then, too.
            self._signal(self._process.kill)
        await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OUTPUT_TIMEOUT_S):
                await self._output_ended.wait()

    def _signal(self, send: Callable[[], None]) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                send()

    def _read(self, output: int, log: int, loop: asyncio.AbstractEventLoop) -> None:
        """Reads the child's output in a thread: takes the ready line, and logs all other lines."""
        ready = False
        # A process that a handler started can write after the log and the loop are closed.
        with open(output, "rb") as lines, contextlib.suppress(OSError, RuntimeError):
            for line in lines:
                values = (
                    None if ready else parse_ready_line(self.name, line.decode(errors="replace"))
                )
                if values is None:
                    # Not sys.stderr: a thread that holds its lock would block the parent's exit.
                    os.write(log, line)
                else:
                    ready = True
                    loop.call_soon_threadsafe(self._set_ready, values)
            loop.call_soon_threadsafe(self._set_ready, None)
            loop.call_soon_threadsafe(self._output_ended.set)

    def _set_ready(self, values: Mapping[str, str] | None) -> None:
        if not self._ready_line.done():
            self._ready_line.set_result(values)


def parse_ready_line(name: str, line: str) -> Mapping[str, str] | None:
    """Returns the values of `NAME ready KEY=VALUE ...`, or None for any other line."""
    words = line.split()
    if words[:2] != [name, "ready"]:
        return None
    return dict(word.split("=", 1) for word in words[2:] if "=" in word)


def _leash_command() -> tuple[str, ...]:
    """Returns the words before a command that make Linux kill the child when this process dies.

    A parent that is killed by `kill -9` can't stop its children. The children would keep their
    ports, and wait for a broker that is gone. On other systems a child must be ended by hand. The
    leash is a program because code between fork and exec is unsafe in a process with threads, and
    the embedded broker has threads.
    """
    if sys.platform != "linux":
        return ()
    script = Path(__file__).with_name("leash.py")
    return sys.executable, "-I", "-S", str(script), str(os.getpid())
