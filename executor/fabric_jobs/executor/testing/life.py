"""The life of a job in memory: what a facade does about it, while its runs are an executor's.

Each attempt is granted, its reports are taken, and what is over is ended. What a failure leads to
is decided by the facades' own rules.
"""

import asyncio
import functools
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace as replaced
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from fabric_jobs.contract import failures
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, JobState, Progress
from fabric_jobs.contract.wire import error_from_proto, progress_from_proto, progress_to_proto
from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.run import CLEAN_UP_S, Run
from fabric_jobs.executor.session import Accepted
from fabric_jobs.executor.tasks import cancel_other_tasks
from fabric_jobs.executor.testing.clock import SkippingLoop
from fabric_jobs.executor.testing.outcome import Outcome
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds after which a handler that was cancelled again and again counts as going on for ever.
END_S = 4 * CLEAN_UP_S


class Life:
    """The job's state, and what changes it; its runs' session."""

    def __init__(
        self,
        loop: SkippingLoop,
        handler: Handler,
        dispatched: Dispatched,
        cancel_when: Callable[[Progress], bool] | None,
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._dispatched = dispatched
        self._cancel_when = cancel_when
        self._progress: list[Progress] = []
        self._waits_s: list[float] = []
        #: What `cancel_when` raised, which is no failure of the handler's.
        self._fault: Exception | None = None
        #: Set when the attempt's run is over, or the wait for the next one, whoever ended it.
        self._over = asyncio.Event()
        self._state = JobState(
            tenant_id=dispatched.tenant_id,
            workspace_id=dispatched.workspace_id,
            item_type=dispatched.item_type,
            item_id=dispatched.item_id,
            job_type=dispatched.job_type,
            invoke_type=dispatched.invoke_type,
            request_hash="",
            create_time=datetime.now(UTC),
            status=JobInstanceStatus.IN_PROGRESS,
            phase=JobPhase.RUNNING,
            attempt=1,
            policy=handler.policy,
        )

    async def live(self, cancel_after_s: float | None) -> Outcome:
        """From the first attempt to the end."""
        begun = self._loop.time()
        self._loop.call_later(failures.MAX_LIFE.total_seconds(), self._expire)
        if cancel_after_s is not None:
            self._loop.call_later(cancel_after_s, self._cancel)
        await self._run_attempt()
        while self._state.phase is JobPhase.WAITING:
            await self._back_off()
            if self._state.phase is JobPhase.WAITING:
                self._change(phase=JobPhase.RUNNING, attempt=self._state.attempt + 1)
                await self._run_attempt()
        state, took_s = self._state, self._loop.time() - begun
        await cancel_other_tasks(END_S)
        if self._fault:
            raise self._fault
        return Outcome(
            status=state.status,
            error=state.error if state.status is JobInstanceStatus.FAILED else None,
            exhausted=state.exhausted,
            attempts=state.attempt,
            waits_s=tuple(self._waits_s),
            progress=tuple(self._progress),
            took_s=took_s,
        )

    async def claim(self, claim: pb.Claim) -> Accepted:
        """Grants it."""
        return Accepted(claim.record)

    async def report(self, report: pb.Report) -> Accepted:
        """Applies it."""
        match report.WhichOneof("outcome"):
            case "completed":
                self._end_attempt(status=JobInstanceStatus.COMPLETED)
            case "stopped":
                self._end_attempt(status=JobInstanceStatus.CANCELLED)
            case "failed":
                error = error_from_proto(report.failed)
                self._end_attempt(**failures.failure_changes(self._state, error))
        return Accepted(report.grant)

    async def _run_attempt(self) -> None:
        self._over.clear()
        attempt = replace(self._dispatched, attempt=self._state.attempt)
        self._run = Run(attempt, self._watched(), self, decided=lambda: None)
        timeout_s = self._handler.policy.run_timeout_s or failures.MAX_LIFE.total_seconds()
        timeout = self._loop.call_later(timeout_s, self._time_out)
        with nullcontext() if self._handler.is_async else self._loop.thread():
            running = asyncio.create_task(self._run.run(), name=str(self._run))
            running.add_done_callback(lambda _: self._over.set())
            await self._over.wait()
            timeout.cancel()
            await asyncio.wait({running}, timeout=END_S)
            goes_on = self._run.leave()
            await running
        if goes_on:
            name = self._handler.function.__qualname__
            raise AssertionError(
                f"{name} goes on, though its run is over. Let it end at a CancelledError, or where "
                "it is no async function, raise JobStopped once job.cancel_requested is true."
            )

    async def _back_off(self) -> None:
        self._over.clear()
        seed = self._dispatched.job_id
        wait_s = failures.backoff_s(self._handler.policy, self._state.failures, seed)
        self._waits_s.append(wait_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._over.wait()

    def _watched(self) -> Handler:
        """The handler, whose job tells its progress here too."""
        function = self._handler.function

        @functools.wraps(function)
        def watched(job: Job[Any]) -> object:
            def report(progress: Progress) -> None:
                job._report(progress)
                self._heard(progress)

            return function(replaced(job, _report=report))

        return replace(self._handler, function=watched)

    def _heard(self, progress: Progress) -> None:
        kept = progress_from_proto(progress_to_proto(progress))
        self._progress.append(kept)
        if self._is_cancelled_by(kept):
            if self._handler.is_async:
                self._loop.call_soon_threadsafe(self._cancel)
            else:
                # In the handler's thread, which may ask next: no task of the loop is cancelled.
                self._cancel()

    def _is_cancelled_by(self, progress: Progress) -> bool:
        try:
            return self._cancel_when is not None and self._cancel_when(progress)
        except Exception as error:  # raised to the test, and not to the handler
            self._fault = self._fault or error
            self._loop.call_soon_threadsafe(self._break_off)
            return False

    def _break_off(self) -> None:
        if self._state.phase is not JobPhase.ENDED:
            self._lose(status=JobInstanceStatus.FAILED)

    def _cancel(self) -> None:
        if self._state.phase is JobPhase.RUNNING:
            self._change(phase=JobPhase.STOPPING)
            self._run.cancel()
            grace_s = self._handler.policy.cancel_grace_s
            self._loop.call_soon_threadsafe(self._loop.call_later, grace_s, self._force_cancel)
        elif self._state.phase is JobPhase.WAITING:
            self._end_attempt(status=JobInstanceStatus.CANCELLED)

    def _force_cancel(self) -> None:
        if self._state.phase is JobPhase.STOPPING:
            self._lose(status=JobInstanceStatus.CANCELLED)

    def _time_out(self) -> None:
        if self._state.phase is JobPhase.RUNNING:
            self._lose(**failures.failure_changes(self._state, failures.RUN_TIMED_OUT))

    def _expire(self) -> None:
        if self._state.phase is not JobPhase.ENDED:
            self._lose(**failures.expiry_changes(self._state))

    def _lose(self, **changes: Any) -> None:
        self._end_attempt(**changes)
        self._run.revoke()

    def _end_attempt(self, *, status: JobInstanceStatus, **changes: Any) -> None:
        again = status is JobInstanceStatus.IN_PROGRESS
        phase = JobPhase.WAITING if again else JobPhase.ENDED
        self._change(status=status, phase=phase, **changes)
        self._over.set()

    def _change(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
