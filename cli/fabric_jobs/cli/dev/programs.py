"""A program of ours as a child process: started, ready by its one line, watched, stopped."""

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

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
STDERR = 2

_LAST_WORDS_S = 1.0


class NotStartedError(CommandError):
    """The program ended before it was ready; what it wrote on its way is in the log."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        #: The program's exit code; below 0, the signal that ended it.
        self.code = code


class Program:
    """A running child process, named by the last part of its module."""

    def __init__(self, name: str, process: Process, output: int, log: int) -> None:
        self.name = name
        #: The values of its ready line.
        self.ready: Mapping[str, str] = {}
        self._process = process
        self._ready_line: asyncio.Future[Mapping[str, str] | None] = asyncio.Future()
        self._output_ended = asyncio.Event()
        # A thread, and no pipe of asyncio's: there a child's end isn't seen before the end of
        # whatever a handler has started, which holds the other end of the pipe too.
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
        ready_within_s: float = READY_WITHIN_S,
    ) -> "Program":
        """Starts `python -m MODULE` and waits for its ready line.

        What else it prints goes to the file descriptor `log`. Raises `CommandError` where it ends
        first or isn't ready in time; then it has been stopped.
        """
        output, output_of_child = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *_leash(),
                *(sys.executable, "-m", module, *arguments),
                stdin=DEVNULL,
                stdout=output_of_child,
                stderr=log,
                # Else Python holds back what a handler prints to a pipe.
                env={**environ, "PYTHONUNBUFFERED": "1"},
                # A terminal's Ctrl-C goes to the parent alone, which stops its children in order.
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
            async with asyncio.timeout(ready_within_s):
                ready = await program._ready_line
                if ready is None:
                    ended = await program.ended()
                    code = process.returncode or 0
                    raise NotStartedError(f"{ended} before it was ready.", code)
        except TimeoutError as error:
            await program.stop()
            message = f"The {name} was not ready within {ready_within_s:.0f} s."
            raise CommandError(message) from error
        except BaseException:
            await program.stop()
            raise
        program.ready = ready
        return program

    async def ended(self) -> str:
        """How the program ended, once it has."""
        code = await self._process.wait()
        if code < 0:
            return f"The {self.name} was ended by {signal.Signals(-code).name}"
        return f"The {self.name} ended with exit code {code}"

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Ask the program to end, and kill it where it doesn't in time."""
        try:
            self._signal(self._process.terminate)
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            # Also where a second Ctrl-C cut the wait short.
            self._signal(self._process.kill)
        await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._output_ended.wait()

    def _signal(self, send: Callable[[], None]) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                send()

    def _read(self, output: int, log: int, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: take the ready line out of the child's output, and pass on the rest."""
        ready = False
        # Where a handler's own child writes on, the log or the loop may be closed before.
        with open(output, "rb") as lines, contextlib.suppress(OSError, RuntimeError):
            for line in lines:
                values = None if ready else ready_values(self.name, line.decode(errors="replace"))
                if values is None:
                    # Not through sys.stderr: its lock, held here, would hinder the parent's exit.
                    os.write(log, line)
                else:
                    ready = True
                    loop.call_soon_threadsafe(self._set_ready, values)
            loop.call_soon_threadsafe(self._set_ready, None)
            loop.call_soon_threadsafe(self._output_ended.set)

    def _set_ready(self, values: Mapping[str, str] | None) -> None:
        if not self._ready_line.done():
            self._ready_line.set_result(values)


def ready_values(name: str, line: str) -> Mapping[str, str] | None:
    """What `NAME ready key=value ...` says; none where the line is something else."""
    words = line.split()
    if words[:2] != [name, "ready"]:
        return None
    return dict(word.split("=", 1) for word in words[2:] if "=" in word)


def _leash() -> tuple[str, ...]:
    """What goes before a command so that the child dies with this process, even by kill -9.

    A killed parent can stop nobody, and its broker is gone: a child left behind would hold its
    ports and wait for nothing. Only Linux has such a promise to offer; elsewhere a child stays
    until it is ended by hand. It is a program of its own because code between fork and exec isn't
    safe in a process that has the broker's threads.
    """
    if sys.platform != "linux":
        return ()
    script = Path(__file__).with_name("leash.py")
    return sys.executable, "-I", "-S", str(script), str(os.getpid())
