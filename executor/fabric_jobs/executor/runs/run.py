"""One run: it claims an attempt, calls the handler, and reports the result."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor import metrics
from fabric_jobs.executor.access_tokens import RunTokens
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.errors import NoThreadError
from fabric_jobs.executor.handlers import Handler, decode_item_definition
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.processes.call import ProcessCall
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.runs import spans
from fabric_jobs.executor.runs.final_report import ProcessReportError, make_final_report
from fabric_jobs.executor.runs.handler_task import HandlerTask
from fabric_jobs.executor.runs.log_tail import LogTail, enable_own_logger, keep_log_lines
from fabric_jobs.executor.runs.run_reports import RunReports
from fabric_jobs.executor.runs.tracebacks import drop_tracebacks, strip_executor_frames
from fabric_jobs.executor.session.deadline_beats import DeadlineBeats
from fabric_jobs.executor.session.latest_sender import LatestSender
from fabric_jobs.executor.session.status_client import Accepted, Refused, StatusClient
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids, warn_with_stack
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that a run keeps its slot after no thread could be started. Without this pause the
#: process would claim the same job again at once.
NO_THREAD_PAUSE_S = 1.0


class Run:
    """The work on one attempt, from sending its claim to the answer to its final report."""

    def __init__(
        self,
        dispatched: DispatchedAttempt,
        handler: Handler,
        client: StatusClient,
        on_decided: Callable[[], None],
        processes: ProcessPool | None = None,
        resources: object = None,
    ) -> None:
        """`on_decided` is called once the claim is granted or refused.

        `processes` are those in which the handler runs, if it runs in a process.
        `resources` is the value of the executor's lifespan.
        """
        self.job_id = dispatched.job_id
        self.attempt = dispatched.attempt
        self._dispatched = dispatched
        self._handler = handler
        self._client = client
        self._on_decided = on_decided
        self._processes = processes
        self._resources = resources
        self._cancel_requested = False
        self._handing_back = False
        self._has_no_thread = False
        #: Whether the job's secrets are sealed on the topic. No log line then shows one.
        self._is_sealed = False
        self._handler_task: HandlerTask | None = None
        self._deadlines: DeadlineBeats
        #: The record that grants the attempt to this run. `None` while the claim is undecided.
        self.grant: pb.Record | None = None
        #: True once the attempt is over for the facades, or granted to another executor. The run
        #: then reports nothing more.
        self.revoked = False

    def __str__(self) -> str:
        return str(self._dispatched)

    async def run(self) -> None:
        """Claims the attempt, calls the handler, and reports the result.

        Every line that is logged during the call carries the job's id.
        """
        dispatched = self._dispatched
        with (
            bind_ids(
                job=dispatched.job_id,
                attempt=str(dispatched.attempt),
                ActivityId=dispatched.activity_id,
                RequestId=dispatched.request_id,
            ),
            # Also without a span here, what the handler calls belongs to the request's trace.
            tracing.continue_trace(dispatched.traceparent),
            spans.run_span(dispatched),
        ):
            await self._run()

    async def _run(self) -> None:
        answer = await self._claim()
        self._on_decided()
        if isinstance(answer, Refused):
            log.debug("%s: claim refused: %s", self, answer)
            return
        self.grant = answer.record
        if answer.content:
            self._is_sealed = True
            self._dispatched = self._dispatched.with_content(answer.content)
        # Not an attribute, because it refers to the run: a cycle would keep both in memory until
        # the garbage collector runs.
        reports = RunReports(self._client, self._dispatched, answer.record, self.revoke)
        progress = LatestSender(reports.send_progress)
        checkpoint = LatestSender(reports.send_checkpoint)
        begin = time.monotonic()
        deadlines = self._deadlines = DeadlineBeats(self._client)
        deadlines.add(self._handler.policy.run_timeout_s)
        try:
            report = await self._call_handler(progress, checkpoint)
            if self._handing_back and not report.HasField("completed"):
                report = pb.Report(handed_back=pb.HandedBack())
            # The report may arrive much later, when facades were away.
            report.end_time.FromDatetime(datetime.now(UTC))
            self._measure(report, time.monotonic() - begin)
            # These go first, so that the reports of a run keep their order.
            if not self.revoked:
                await progress.close()
            # A job that is completed has no next attempt.
            if not self.revoked and not report.HasField("completed"):
                await checkpoint.close()
            if not self.revoked:
                await reports.send_end(report)
            if self._has_no_thread:
                self.revoked = True  # the heartbeats no longer list it
                await asyncio.sleep(NO_THREAD_PAUSE_S)
        finally:
            progress.cancel()
            checkpoint.cancel()
            deadlines.close()

    def cancel(self) -> None:
        """Requests the handler to stop. Further calls do nothing, so it can clean up in peace."""
        if not self._cancel_requested:
            self._cancel_requested = True
            if self._handler_task:
                self._deadlines.add(self._handler.policy.cancel_grace_s)
                self._handler_task.cancel()

    def hand_back(self) -> None:
        """Requests the handler to stop, so that another executor gets the job.

        The report then says `handed_back`, unless the handler completes the job.
        """
        self._handing_back = True
        self.cancel()

    def revoke(self) -> None:
        """Ends the handler, because the attempt is over or belongs to another executor."""
        if not self.revoked:
            self.revoked = self._cancel_requested = True
            if self._handler_task:
                self._handler_task.end()

    @property
    def is_hung(self) -> bool:
        """True if the handler has not ended, although it was cancelled and its run is over."""
        return self._handler_task is not None and self._handler_task.is_hung

    def abandon_handler(self) -> bool:
        """Stops waiting for the handler. Returns false if no handler is running."""
        return self._handler_task is not None and self._handler_task.abandon()

    async def _claim(self) -> Accepted | Refused:
        claim = self._dispatched.claim(self._handler.policy)
        with spans.entry_span(claim):
            answer = await self._client.claim(claim)
        result = "refused" if isinstance(answer, Refused) else "granted"
        metrics.CLAIMS.add(1, self._dispatched.job_type, result)
        return answer

    def _measure(self, report: pb.Report, seconds: float) -> None:
        outcome = "revoked" if self.revoked else str(report.WhichOneof("outcome"))
        metrics.HANDLER_SECONDS.record(seconds, self._dispatched.job_type, outcome)
        spans.set_outcome(outcome, report.failed.error_code)

    async def _call_handler(
        self, progress: LatestSender[Progress], checkpoint: LatestSender[bytes]
    ) -> pb.Report:
        if self._cancel_requested:
            return make_final_report(asyncio.CancelledError(), cancel_requested=True)
        tail = LogTail()
        process = None
        if self._handler.run_in == "process":
            assert self._processes is not None
            process = ProcessCall(self._processes)
        task = self._handler_task = HandlerTask(
            self._decode_and_call(tail, progress, checkpoint, process),
            handler=self._handler,
            process=process,
            run_name=str(self),
        )
        try:
            raised = await task.wait()
        except asyncio.CancelledError:
            self._cancel_requested = True
            await task.cancel_and_wait()
            raise
        # The task holds the traceback of what the handler raised, whose frames hold this run.
        self._handler_task = None
        if isinstance(raised, NoThreadError):
            log.warning("%s: handed back. %s", self, raised)
            self._has_no_thread = True
            return pb.Report(handed_back=pb.HandedBack())
        enable_own_logger()
        report = make_final_report(raised, cancel_requested=self._cancel_requested)
        if report.HasField("failed") and not self.revoked:
            report.log_tail = tail.text()
            if self._is_sealed:
                code = report.failed.error_code
                log.warning("%s: failed: %s. Its text is sealed: ask a facade", self, code)
            elif isinstance(raised, ProcessReportError):
                # The exception was raised in another process. Its traceback came as a text.
                text = report.traceback.rstrip()
                warn_with_stack(log, text, "%s: %s", self, report.failed.message)
            else:
                logged = strip_executor_frames(raised) if raised and report.traceback else None
                log.warning("%s: %s", self, report.failed.message, exc_info=logged)
        if raised:
            drop_tracebacks(raised)
        return report

    async def _decode_and_call(
        self,
        tail: LogTail,
        progress: LatestSender[Progress],
        checkpoint: LatestSender[bytes],
        process: ProcessCall | None,
    ) -> None:
        # In the context of the handler. The lines of a process are logged here, too.
        keep_log_lines(tail)
        dispatched = self._dispatched
        payload = dispatched.payload
        with spans.handler_span(dispatched, is_sealed=self._is_sealed):
            job: Job[Any, Any] = Job(
                # A process decodes it itself.
                payload=payload if process else self._handler.decode(payload),
                job_id=dispatched.job_id,
                attempt=dispatched.attempt,
                item_type=dispatched.item_type,
                job_type=dispatched.job_type,
                workspace_id=dispatched.workspace_id,
                item_id=dispatched.item_id,
                tenant_id=dispatched.tenant_id,
                definition=decode_item_definition(dispatched.definition),
                invoke_type=dispatched.invoke_type,
                activity_id=dispatched.activity_id,
                request_id=dispatched.request_id,
                traceparent=dispatched.traceparent,
                resources=self._resources,
                _checkpoint=dispatched.checkpoint,
                _save_checkpoint=checkpoint.put,
                _is_cancelled=lambda: self._cancel_requested,
                _report=progress.put,
                _request_token=RunTokens(self.job_id, self.attempt, self._client).request,
            )
            if process:
                await process.run(self._handler, job)
            else:
                await self._handler.call(job)
