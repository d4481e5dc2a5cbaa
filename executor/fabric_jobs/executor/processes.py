"""Runs handlers in processes of their own, which can be ended whatever a handler does.

A process runs one handler at a time. Afterwards it stays warm for the next one. The executor starts
it as a new program and never by a fork, which gRPC does not survive.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor.errors import HandlerDefinitionError, NoThreadError
from fabric_jobs.executor.final_report import ProcessReportError, make_final_report
from fabric_jobs.executor.functions import function_of
from fabric_jobs.executor.handler_process import HandlerProcess
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.process_messages import (
    Began,
    Call,
    Cancel,
    Check,
    Checked,
    Ended,
    Logged,
    ProgressSeen,
    Reported,
)
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb


class ProcessPool:
    """The processes of an executor: the running ones, and the warm ones that wait."""

    def __init__(self, *, waits_for_progress: bool = False) -> None:
        """`waits_for_progress` lets each `job.progress` wait until it was handled here."""
        self.waits_for_progress = waits_for_progress
        self._idle: list[HandlerProcess] = []

    async def check(self, handlers: Iterable[Handler]) -> None:
        """Imports the functions of those handlers that run in processes, in a process.

        Raises `HandlerDefinitionError` if a function can't be imported there.
        """
        functions = [function_of(one) for one in handlers if one.run_in == "process"]
        if not functions:
            return
        process = await HandlerProcess.start()
        for function in functions:
            await process.send(Check(function=function))
            answer = await process.receive()
            while isinstance(answer, Logged):
                _log(answer)
                answer = await process.receive()
            if isinstance(answer, Checked) and not answer.reason:
                continue
            reason = answer.reason if isinstance(answer, Checked) else "the process ended"
            await process.end()
            raise HandlerDefinitionError(
                f"{function.qualname} can't be imported in a process from the module "
                f"{function.module}: {reason}."
            )
        self._idle.append(process)

    def new_call(self) -> "ProcessCall":
        """Returns a call, which runs later."""
        return ProcessCall(self)

    async def acquire(self) -> tuple[HandlerProcess, bool]:
        """Returns a process, and whether it is warm.

        Raises `NoThreadError` if no process can be started.
        """
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process, True
        try:
            return await HandlerProcess.start(), False
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
        """Ends the processes that wait."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.end() for process in idle))


class ProcessCall:
    """One call of a handler in a process, and the ways to end it."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self._is_cancelled = False
        self._is_killed = False
        self._process: HandlerProcess | None = None

    def cancel(self) -> None:
        """Asks the handler to end: as a cancel does in the executor's own process."""
        if not self._is_cancelled:
            self._is_cancelled = True
            if self._process:
                self._process.send_soon(Cancel())

    def kill(self) -> None:
        """Ends the process, whatever the handler does."""
        self._is_killed = self._is_cancelled = True
        if self._process:
            self._process.kill()

    async def run(self, handler: Handler, job: Job[Any]) -> None:
        """Calls the handler in a process, with the job whose payload is still JSON.

        Raises `ProcessReportError` if the handler did not complete, and `CancelledError` if the
        process was killed here or the call was cancelled before it began.
        """
        call = self._make_message(handler, job)
        while True:
            process, is_warm = await self._pool.acquire()
            if self._is_cancelled:
                await self._pool.release(process, is_reusable=True)
                raise asyncio.CancelledError
            self._process = process
            try:
                has_begun, ended = await self._follow(process, call, job)
            except BaseException:
                process.kill()
                raise
            finally:
                self._process = None
            if ended:
                await self._pool.release(process, is_reusable=ended.is_reusable)
                report = pb.Report.FromString(ended.report)
                if not report.HasField("completed"):
                    raise ProcessReportError(report)
                return
            death = await process.wait()
            if self._is_killed:
                raise asyncio.CancelledError
            if has_begun or not is_warm:
                raise ProcessReportError(make_final_report(death, cancel_requested=False))
            # A warm process that died while it waited: the handler was not called.

    async def _follow(
        self, process: HandlerProcess, call: Call, job: Job[Any]
    ) -> tuple[bool, Ended | None]:
        has_begun = False
        await process.send(call)
        while (message := await process.receive()) is not None:
            match message:
                case Began():
                    has_begun = True
                case Reported(fraction=fraction, message=text):
                    self._pool.report(job, Progress(fraction, text))
                    if call.waits_for_progress:
                        await process.send(ProgressSeen())
                case Logged():
                    _log(message)
                case Ended():
                    return has_begun, message
        return has_begun, None

    def _make_message(self, handler: Handler, job: Job[Any]) -> Call:
        return Call(
            function=function_of(handler),
            payload=job.payload,
            definition=job.definition,
            job_id=job.job_id,
            attempt=job.attempt,
            workspace_id=job.workspace_id,
            item_id=job.item_id,
            tenant_id=job.tenant_id,
            invoke_type=job.invoke_type,
            activity_id=job.activity_id,
            request_id=job.request_id,
            traceparent=job.traceparent,
            span_traceparent=tracing.current_traceparent(),
            memory_limit_mb=handler.memory_limit_mb,
            waits_for_progress=self._pool.waits_for_progress,
        )


def _log(line: Logged) -> None:
    """Logs a line of a handler here. The enclosing run binds the job's ids to it."""
    record = logging.makeLogRecord(line.attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
