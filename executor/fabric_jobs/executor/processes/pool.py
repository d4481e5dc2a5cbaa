"""Runs handlers in processes of their own, which can be ended whatever a handler does.

A process runs one handler at a time. Afterwards it stays warm for the next one. The executor starts
it as a new program and never by a fork, which gRPC does not survive.
"""

import asyncio
import logging
import sys
from collections.abc import Iterable
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor.errors import HandlerDefinitionError, LifespanError, NoThreadError
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.lifespan import Lifespan
from fabric_jobs.executor.processes.functions import function_of, lifespan_name
from fabric_jobs.executor.processes.handler_process import HandlerProcess
from fabric_jobs.executor.processes.messages import (
    Check,
    Checked,
    FromProcess,
    Logged,
    Open,
    Opened,
    Start,
    ToProcess,
)
from fabric_jobs.executor.settings import ExecutorSettings

#: Seconds beyond its limit after which a lifespan counts as blocking its process.
BLOCKED_S = 5.0
#: The part of a handler's memory limit that earlier handlers may have left in its process.
MAX_LEFT_PART = 0.25


class ProcessPool:
    """The processes of an executor: the running ones, and the warm ones that wait."""

    def __init__(
        self,
        lifespan: Lifespan[Any] | None = None,
        lifespan_start_s: float = ExecutorSettings().lifespan_start_s,
        *,
        waits_for_progress: bool = False,
    ) -> None:
        """Each process opens the lifespan for itself, within `lifespan_start_s` seconds.

        `waits_for_progress` lets each `job.progress` wait until it was handled here.
        """
        self.waits_for_progress = waits_for_progress
        self._lifespan = lifespan
        self._lifespan_start_s = lifespan_start_s
        self._idle: list[HandlerProcess] = []
        #: Every process that has not ended.
        self._alive: set[HandlerProcess] = set()

    async def check(self, handlers: Iterable[Handler]) -> None:
        """Starts a process, if a handler needs one, imports those handlers, opens the lifespan.

        Raises `HandlerDefinitionError` if a process can't import a function or the lifespan, and
        `LifespanError` if the lifespan fails to start.
        """
        functions = [function_of(one) for one in handlers if one.run_in == "process"]
        if not functions:
            return
        process = await self._start()
        try:
            for function in functions:
                answer = await _ask(process, Check(function=function))
                if not isinstance(answer, Checked) or answer.reason:
                    reason = answer.reason if isinstance(answer, Checked) else "the process ended"
                    raise HandlerDefinitionError(
                        f"{function.qualname} can't be imported in a process from the module "
                        f"{function.module}: {reason}."
                    )
            await self._open_lifespan(process)
        except BaseException:
            await process.end()
            raise
        self._idle.append(process)

    async def _open_lifespan(self, process: HandlerProcess) -> None:
        try:
            # The process has its own limit. This one is for a lifespan that blocks the process.
            async with asyncio.timeout(self._lifespan_start_s + BLOCKED_S):
                answer = await _ask(process, Open())
        except TimeoutError:
            process.kill()
            raise LifespanError("The lifespan blocks the process of a handler.") from None
        if not isinstance(answer, Opened) or answer.reason:
            reason = answer.reason if isinstance(answer, Opened) else "It ended the process."
            raise LifespanError(f"In the process of a handler: {reason}")

    async def _start(self) -> HandlerProcess:
        process = await HandlerProcess.start(
            Start(
                sys_path=sys.path,
                log_level=logging.getLogger().getEffectiveLevel(),
                lifespan=lifespan_name(self._lifespan) if self._lifespan else None,
                lifespan_start_s=self._lifespan_start_s,
            )
        )
        self._alive.add(process)
        process.add_done_callback(lambda: self._alive.discard(process))
        return process

    async def acquire(self, memory_limit_mb: int | None = None) -> tuple[HandlerProcess, bool]:
        """Returns a process for a handler with this memory limit, and whether it is warm.

        The handler must not fail for the memory that earlier handlers left in a warm process. So it
        gets a new one if they left more than `MAX_LEFT_PART` of the limit in each.

        Raises `NoThreadError` if no process can be started.
        """
        self._idle = [one for one in self._idle if one.is_alive]
        for process in reversed(self._idle):
            if memory_limit_mb is None or process.left_mb() <= MAX_LEFT_PART * memory_limit_mb:
                self._idle.remove(process)
                return process, True
        if self._idle:
            # The new process takes its place: there is one for each slot at most.
            await self._idle.pop().end()
        try:
            return await self._start(), False
        except (OSError, MemoryError) as error:
            raise NoThreadError(f"The handler was not called: {error}") from error

    async def release(self, process: HandlerProcess, *, is_reusable: bool) -> None:
        """Takes a process back after a call."""
        if is_reusable:
            self._idle.append(process)
        else:
            await process.end()

    def report(self, job: Job[Any], progress: Progress) -> None:
        """Passes progress of a handler on to its run."""
        job._report(progress)

    async def close(self) -> None:
        """Ends the processes that wait for a job, and kills those whose runs were abandoned."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.end() for process in idle))
        for process in tuple(self._alive):
            process.discard()
            await process.wait()


async def _ask(process: HandlerProcess, message: ToProcess) -> FromProcess | None:
    """Sends a message, and returns the answer to it. Lines that come before it are logged."""
    await process.send(message)
    answer = await process.receive()
    while isinstance(answer, Logged):
        log_line(answer)
        answer = await process.receive()
    return answer


def log_line(line: Logged) -> None:
    """Logs a line of a process here. The enclosing run, if there is one, binds the job's ids."""
    record = logging.makeLogRecord(line.attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
