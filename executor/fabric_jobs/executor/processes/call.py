"""One call of a handler in a process, as the executor sees it."""

import asyncio
import itertools
from contextlib import closing
from contextvars import Context
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor.errors import NoThreadError
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.processes.functions import function_of
from fabric_jobs.executor.processes.handler_process import HandlerProcess
from fabric_jobs.executor.processes.messages import (
    Began,
    Call,
    CallMessage,
    Cancel,
    CheckpointSaved,
    Ended,
    Logged,
    ProgressSeen,
    Reported,
    TokenWanted,
)
from fabric_jobs.executor.processes.pool import ProcessPool, log_line
from fabric_jobs.executor.processes.tokens import TokenAnswers
from fabric_jobs.executor.runs.final_report import ProcessReportError, make_final_report
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Numbers the calls of this executor.
_numbers = itertools.count(1)


class ProcessCall:
    """One call of a handler in a process, and the ways to end it."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self._number = next(_numbers)
        self._is_cancelled = False
        self._is_killed = False
        self._process: HandlerProcess | None = None

    def cancel(self) -> None:
        """Asks the handler to end: as a cancel does in the executor's own process."""
        if not self._is_cancelled:
            self._is_cancelled = True
            if self._process:
                self._process.send_soon(Cancel(call=self._number))

    def kill(self) -> None:
        """Ends the process, whatever the handler does."""
        self._is_killed = self._is_cancelled = True
        if self._process:
            self._process.kill()

    async def run(self, handler: Handler, job: Job[Any]) -> None:
        """Calls the handler in a process, with the job whose payload is still JSON.

        Raises `ProcessReportError` if the handler did not complete, `NoThreadError` if it was not
        called, and `CancelledError` if this executor killed the process or if the call was
        cancelled before it began.
        """
        call = self._make_message(handler, job)
        while True:
            process, is_warm = await self._pool.acquire(handler.memory_limit_mb)
            if self._is_cancelled:
                await self._pool.release(process, is_reusable=True)
                raise asyncio.CancelledError
            self._process = process
            try:
                with closing(TokenAnswers(job._request_token, process.send_soon)) as tokens:
                    has_begun, ended = await self._follow(process, call, job, tokens)
            except BaseException:
                process.discard()
                raise
            finally:
                self._process = None
            if ended:
                process.base_mb = ended.base_mb
                await self._pool.release(process, is_reusable=ended.is_reusable)
                if ended.not_called:
                    raise NoThreadError(ended.not_called)
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
        self, process: HandlerProcess, call: Call, job: Job[Any], tokens: TokenAnswers
    ) -> tuple[bool, Ended | None]:
        has_begun = False
        await process.send(call)
        while (message := await process.receive()) is not None:
            match message:
                case Logged() if message.call != call.number:
                    # A thread or a task that an earlier handler left running. It has no ids here.
                    Context().run(log_line, message)
                case CallMessage() if message.call != call.number:
                    pass  # of an earlier call
                case Began():
                    has_begun = True
                case Reported(fraction=fraction, message=text):
                    self._pool.report(job, Progress(fraction, text))
                    if call.waits_for_progress:
                        await process.send(ProgressSeen(call=call.number))
                case CheckpointSaved(checkpoint=checkpoint):
                    job._save_checkpoint(checkpoint)
                case TokenWanted():
                    tokens.answer(message)
                case Logged():
                    log_line(message)
                case Ended():
                    return has_begun, message
        return has_begun, None

    def _make_message(self, handler: Handler, job: Job[Any]) -> Call:
        return Call(
            number=self._number,
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
            checkpoint=job._checkpoint,
            span_traceparent=tracing.current_traceparent(),
            memory_limit_mb=handler.memory_limit_mb,
            waits_for_progress=self._pool.waits_for_progress,
        )
