"""A program that is restarted whenever it ends, as an orchestrator restarts it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.support.programs import Program, program

#: Seconds until the restart of a program that did not become ready.
BACKOFF_S = 1.0


class Supervised:
    """One of the cluster's programs, across the restarts of its process."""

    def __init__(self, name: str, command: tuple[str, ...], log: Path, **environment: str) -> None:
        self.name = name
        #: Descriptions of ends that the suite did not cause, and of ends with a bad exit code.
        self.complaints: list[str] = []
        #: The ready line of each process that became ready, by process id.
        self.processes: dict[int, dict[str, str]] = {}
        self._command = command
        self._environment = environment
        self._log = log
        self._running: Program | None = None
        self._ready = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._asked_to_end = False
        #: The processes that may end by themselves.
        self._excused: set[int] = set()

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Keep the program running until the end of the block."""
        keeping = asyncio.create_task(self._keep(), name=self.name)
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def ready(self) -> None:
        """Return once the program is ready."""
        await self._ready.wait()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """kill -9, and no restart before the end of the block."""
        running = await self._ending()
        self._wanted.clear()
        await running.kill()
        try:
            yield
        finally:
            self._wanted.set()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """SIGSTOP until the end of the block: connections stay open without an answer."""
        running = await self._process()
        running.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            running.process.send_signal(signal.SIGCONT)

    async def kill_children(self) -> None:
        """kill -9 of the processes that the program has started."""
        process_id = (await self._process()).process.pid
        # The program, or a child, may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
            for child in children.split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)

    @contextmanager
    def allowed_to_end(self) -> Iterator[None]:
        """An end by itself, or a start that fails, is no complaint until the end of the block.

        A process of that time may also end later.
        """
        kept = len(self.complaints)
        try:
            yield
        finally:
            del self.complaints[kept:]
            self._excused |= self.processes.keys()

    async def terminate(self) -> None:
        """SIGTERM, after which the program must exit with code 0, and a restart."""
        running = await self._ending()
        try:
            code = await running.stop()
        except TimeoutError:
            self.complaints.append(f"{self.name} did not end at SIGTERM")
            await running.kill()
        else:
            if code:
                self.complaints.append(f"{self.name} ended at SIGTERM with {code}")

    async def retire(self) -> None:
        """SIGTERM without a restart."""
        self._wanted.clear()
        await self.terminate()

    def logged(self, text: str) -> list[str]:
        """The lines of the program's log that have this text."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if text in line]

    async def _keep(self) -> None:
        with self._log.open("ab") as log:
            while True:
                await self._wanted.wait()
                try:
                    async with program(
                        *self._command, environment=self._environment, stderr=log
                    ) as self._running:
                        self._asked_to_end = False
                        self.processes[self._running.process.pid] = self._running.ready
                        self._ready.set()
                        code = await self._running.process.wait()
                except (AssertionError, TimeoutError) as error:
                    self.complaints.append(f"{self.name} did not become ready: {error!r}")
                    await asyncio.sleep(BACKOFF_S)
                    continue
                finally:
                    self._ready.clear()
                if not self._asked_to_end and self._running.process.pid not in self._excused:
                    self.complaints.append(f"{self.name} ended by itself, with {code}")

    async def _ending(self) -> Program:
        """The process that the caller is about to end; the program is not ready from now on."""
        running = await self._process()
        self._asked_to_end = True
        self._ready.clear()
        return running

    async def _process(self) -> Program:
        await self.ready()
        assert self._running
        return self._running
