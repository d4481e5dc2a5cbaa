"""One run: an attempt that is claimed, handled and reported."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.contract.wire import progress_to_proto
from fabric_jobs.executor import metrics, spans
from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.outcomes import outcome_of
from fabric_jobs.executor.progress import ProgressFeed
from fabric_jobs.executor.session import Accepted, Decider, Refused
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")

#: Seconds that a handler may take to clean up once its run is over.
CLEAN_UP_S = 5.0


class Run:
    """From the claim of an attempt to the answer to its final report."""

    def __init__(
        self,
        dispatched: Dispatched,
        handler: Handler,
        session: Decider,
        decided: Callable[[], None],
    ) -> None:
        self.job_id = dispatched.job_id
        self.attempt = dispatched.attempt
        self._dispatched = dispatched
        self._handler = handler
        self._session = session
        self._decided = decided
        self._cancel_requested = False
        self._handling: asyncio.Task[None] | None = None
        self._handing_back = False
        #: Done once there is nothing more to wait for in the handler.
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The record that granted it; none while the claim is awaited.
        self.grant: pb.Record | None = None
        #: It is no longer ours: nothing is reported of it.
        self.revoked = False

    def __str__(self) -> str:
        return f"job {self.job_id} attempt {self.attempt}"

    async def run(self) -> None:
        """Claims, handles and reports; every line logged on the way says which job it is about."""
        dispatched = self._dispatched
        with (
            bind_ids(
                job=dispatched.job_id,
                attempt=str(dispatched.attempt),
                ActivityId=dispatched.activity_id,
                RequestId=dispatched.request_id,
            ),
            # The request's trace goes on here, and in what the handler calls, traced or not.
            tracing.continue_trace(dispatched.traceparent),
            spans.running(dispatched),
        ):
            await self._run()

    async def _run(self) -> None:
        answer = await self._claim()
        self._decided()
        if isinstance(answer, Refused):
            log.debug("%s: claim refused: %s", self, answer)
            return
        self.grant = answer.record
        # Not an attribute: it knows the run, and neither would go before a look for cycles.
        feed = ProgressFeed(self._report_progress)
        begun = time.monotonic()
        try:
            outcome = await self._handle(feed)
            if self._handing_back and not outcome.HasField("completed"):
                outcome = pb.Report(handed_back=pb.HandedBack())
            self._measure(outcome, time.monotonic() - begun)
            # Its progress first, so that the reports of a run keep their order.
            if not self.revoked:
                await feed.close()
            if not self.revoked:
                await self._report_end(outcome)
        finally:
            feed.cancel()

    async def _claim(self) -> Accepted | Refused:
        claim = self._dispatched.claim(self._handler.policy)
        with spans.sending(claim):
            answer = await self._session.claim(claim)
        said = "refused" if isinstance(answer, Refused) else "granted"
        metrics.CLAIMS.add(1, self._dispatched.job_type, said)
        return answer

    def _measure(self, report: pb.Report, seconds: float) -> None:
        outcome = "revoked" if self.revoked else str(report.WhichOneof("outcome"))
        labels = {"job_type": self._dispatched.job_type, "outcome": outcome}
        metrics.HANDLER_SECONDS.record(seconds, labels)
        spans.ended(outcome, report.failed.error_code)

    def cancel(self) -> None:
        """The job was asked to stop; asking again doesn't disturb a handler that cleans up."""
        if not self._cancel_requested:
            self._cancel_requested = True
            if self._handling and self._handler.is_async:
                self._handling.cancel()

    def hand_back(self) -> None:
        """The executor ends: the handler may clean up, and another attempt takes its place."""
        self._handing_back = True
        self.cancel()

    def revoke(self) -> None:
        """The run is no longer ours: the handler is ended, and nothing reported."""
        if not self.revoked:
            self.revoked = self._cancel_requested = True
            self._end_handler()

    def leave(self) -> bool:
        """Leaves a handler that does not end to itself, and its slot; false where there is none."""
        if self._handling is None or self._handling.done():
            return False
        self._go_on()
        return True

    def _go_on(self, handling: asyncio.Task[None] | None = None) -> None:
        """The handler has ended, or is left to itself."""
        if not self._over.done():
            self._over.set_result(None)

    def _end_handler(self, tries: int = 1) -> None:
        """Cancels the handler, after its time to clean up again, until it ends."""
        if self._handling is None or self._handling.done() or self._over.done():
            return
        if tries == 2:
            log.warning("%s: its handler goes on all the same, and keeps its slot", self)
        if self._handler.is_async:
            self._handling.cancel()
        loop = asyncio.get_running_loop()
        loop.call_later(CLEAN_UP_S, self._end_handler, tries + 1)

    async def _handle(self, feed: ProgressFeed) -> pb.Report:
        if self._cancel_requested:
            return outcome_of(asyncio.CancelledError(), cancel_requested=True)
        name = f"{self}, handler {self._handler.function.__qualname__}"
        self._handling = asyncio.create_task(self._call_handler(feed), name=name)
        self._handling.add_done_callback(self._go_on)
        try:
            await self._over
        except asyncio.CancelledError:
            # The executor ends: the handler may clean up, a thread is left to itself.
            self._cancel_requested = True
            self._handling.cancel()
            await asyncio.wait({self._handling}, timeout=CLEAN_UP_S)
            raise
        raised = _end_of(self._handling)
        outcome = outcome_of(raised, cancel_requested=self._cancel_requested)
        if outcome.HasField("failed") and not self.revoked:
            told = raised if outcome.traceback else None
            log.warning("%s: %s", self, outcome.failed.message, exc_info=told)
        return outcome

    async def _call_handler(self, feed: ProgressFeed) -> None:
        dispatched = self._dispatched
        with spans.handling(dispatched):
            job: Job[Any] = Job(
                payload=self._handler.decode(dispatched.payload),
                job_id=dispatched.job_id,
                attempt=dispatched.attempt,
                item_type=dispatched.item_type,
                job_type=dispatched.job_type,
                workspace_id=dispatched.workspace_id,
                item_id=dispatched.item_id,
                tenant_id=dispatched.tenant_id,
                invoke_type=dispatched.invoke_type,
                activity_id=dispatched.activity_id,
                request_id=dispatched.request_id,
                traceparent=dispatched.traceparent,
                _is_cancelled=lambda: self._cancel_requested,
                _report=feed.put,
            )
            await self._handler.call(job)

    async def _report_progress(self, progress: Progress) -> None:
        answer = await self._report(pb.Report(progress=progress_to_proto(progress)))
        if isinstance(answer, Refused) and answer.reason != pb.REFUSAL_REASON_INVALID:
            log.warning("%s is no longer ours: %s", self, answer)
            self.revoke()

    async def _report_end(self, outcome: pb.Report) -> None:
        with spans.sending(outcome):
            answer = await self._report(outcome)
        if isinstance(answer, Refused):
            log.warning("%s: %s refused: %s", self, outcome.WhichOneof("outcome"), answer)

    async def _report(self, report: pb.Report) -> Accepted | Refused:
        assert self.grant is not None
        report.job_id = self.job_id
        report.attempt = self.attempt
        report.grant.CopyFrom(self.grant)
        return await self._session.report(report)


def _end_of(handling: asyncio.Task[None]) -> BaseException | None:
    """What the handler raised; one that was left to itself counts as cancelled."""
    if not handling.done() or handling.cancelled():
        return asyncio.CancelledError()
    return handling.exception()
