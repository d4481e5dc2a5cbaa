"""A simulation of the facades for one job in memory. The executor's own code does the runs.

The simulation grants each attempt, applies its reports, and fires the timers of the job. The rules
that decide what a failure leads to are those of the facades: `fabric_jobs.contract.failures`.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from fabric_jobs.contract import failures
from fabric_jobs.contract.errors import ErrorSource
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, JobState, Progress
from fabric_jobs.contract.wire import error_from_proto, progress_from_proto, progress_to_proto
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.errors import AccessTokenError
from fabric_jobs.executor.event_loop import cancel_other_tasks
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.lifespan import Lifespan
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.runs.handler_task import CLEAN_UP_TIMEOUT_S
from fabric_jobs.executor.runs.run import Run
from fabric_jobs.executor.session.status_client import Accepted
from fabric_jobs.executor.testing.clock import SkippingLoop
from fabric_jobs.executor.testing.outcome import Outcome
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds in which a handler is cancelled several times. If it has not ended then, the test fails.
END_TIMEOUT_S = 4 * CLEAN_UP_TIMEOUT_S


def make_test_token(scope: str) -> str:
    """Returns a text in place of an access token for the scope."""
    return f"test token for {scope}"


class ObservedProcesses(ProcessPool):
    """Processes whose handlers wait at each progress until it was observed."""

    def __init__(self, lifespan: Lifespan[Any] | None, observe: Callable[[Progress], None]) -> None:
        super().__init__(lifespan, waits_for_progress=True)
        self._observe = observe

    def report(self, job: Job[Any], progress: Progress) -> None:
        """Passes the progress on, and observes it."""
        super().report(job, progress)
        self._observe(progress)


class JobSimulation:
    """The state of the job, and what changes it. It is the `StatusClient` of the job's runs."""

    def __init__(
        self,
        loop: SkippingLoop,
        handler: Handler,
        lifespan: Lifespan[Any] | None,
        dispatched: DispatchedAttempt,
        cancel_when: Callable[[Progress], bool] | None,
        longest_life_s: float,
        make_token: Callable[[str], str] | None,
    ) -> None:
        """`lifespan` is that of the executor, for a handler in a process."""
        self._loop = loop
        self._handler = handler
        self._dispatched = dispatched
        self._cancel_when = cancel_when
        self._processes = ObservedProcesses(lifespan, self._observe)
        self._longest_life_s = longest_life_s
        self._make_token = make_token
        self._progress: list[Progress] = []
        #: The checkpoint that the next attempt gets.
        self._checkpoint = dispatched.checkpoint
        self._waits_s: list[float] = []
        #: The first exception that `cancel_when` raised. It must not look like the handler's.
        self._cancel_when_error: Exception | None = None
        #: Set when the run of the attempt ends, or the wait for the next attempt.
        self._step_ended = asyncio.Event()
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

    async def run(self, resources: object, cancel_after_s: float | None) -> Outcome:
        """Runs the attempts of the job until it has ended."""
        self._resources = resources
        await self._processes.check([self._handler])
        # The task of the lifespan goes on.
        earlier = asyncio.all_tasks()
        begin = self._loop.time()
        self._loop.call_later(self._longest_life_s, self._expire)
        if cancel_after_s is not None:
            self._loop.call_later(cancel_after_s, self._cancel)
        await self._run_attempt()
        while self._state.phase is JobPhase.WAITING:
            await self._back_off()
            if self._state.phase is JobPhase.WAITING:
                self._change(phase=JobPhase.RUNNING, attempt=self._state.attempt + 1)
                await self._run_attempt()
        state, took_s = self._state, self._loop.time() - begin
        await cancel_other_tasks(END_TIMEOUT_S, keep=earlier)
        if self._cancel_when_error:
            raise self._cancel_when_error
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
        """Grants the attempt."""
        return Accepted(claim.record)

    async def report(self, report: pb.Report) -> Accepted:
        """Applies the report."""
        match report.WhichOneof("outcome"):
            case "checkpoint":
                self._checkpoint = report.checkpoint
            case "completed":
                self._end_attempt(status=JobInstanceStatus.COMPLETED)
            case "stopped":
                self._end_attempt(status=JobInstanceStatus.CANCELLED)
            case "failed":
                error = error_from_proto(report.failed)
                self._end_attempt(**failures.failure_changes(self._state, error))
            case "handed_back":
                raise AssertionError("The handler was not called, because no thread can be started")
        return Accepted(report.grant)

    def beat(self) -> None:
        """Does nothing: the deadlines of the simulation wait for no heartbeat."""

    async def access_token(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Gives the test's token, which is valid for an hour."""
        is_app = request.kind == pb.TOKEN_KIND_APP
        if self._make_token is None and not is_app:
            raise AccessTokenError(
                "The job has no user to act for.",
                code="NoUserToken",
                source=ErrorSource.USER,
                permanent=True,
            )
        make = self._make_token or make_test_token
        response = pb.GetAccessTokenResponse(access_token=make(request.scope))
        response.expires_in.FromTimedelta(timedelta(hours=1))
        return response

    async def _run_attempt(self) -> None:
        self._step_ended.clear()
        attempt = replace(
            self._dispatched, attempt=self._state.attempt, checkpoint=self._checkpoint
        )
        self._run = Run(
            attempt,
            self._observed_handler(),
            self,
            on_decided=lambda: None,
            processes=self._processes,
            resources=self._resources,
        )
        timeout_s = self._handler.policy.run_timeout_s or self._longest_life_s
        timeout = self._loop.call_later(timeout_s, self._time_out)
        with nullcontext() if self._handler.is_async else self._loop.active_thread():
            task = asyncio.create_task(self._run.run(), name=str(self._run))
            task.add_done_callback(lambda _: self._step_ended.set())
            await self._step_ended.wait()
            timeout.cancel()
            await asyncio.wait({task}, timeout=END_TIMEOUT_S)
            abandoned = self._run.abandon_handler()
            await task
            # A process that waits would keep the clock from skipping the time between attempts.
            await self._processes.close()
        if abandoned:
            name = self._handler.function.__qualname__
            raise AssertionError(
                f"{name} does not end, although its run is over. If it is an `async def` handler, "
                "let it end on CancelledError. If it is a `def` handler, let it raise JobStopped "
                "when job.cancel_requested is true."
            )

    async def _back_off(self) -> None:
        self._step_ended.clear()
        seed = self._dispatched.job_id
        wait_s = failures.backoff_s(self._handler.policy, self._state.failures, seed)
        self._waits_s.append(wait_s)
        # No handler runs, so a thread that is alive most likely waits, such as one of the lifespan.
        with suppress(TimeoutError), self._loop.ignore_unknown_threads():
            async with asyncio.timeout(wait_s):
                await self._step_ended.wait()

    def _observed_handler(self) -> Handler:
        """Returns the handler with a function whose job reports its progress to this object too.

        The progress of a handler in a process comes by `ObservedProcesses`.
        """
        function = self._handler.function
        if self._handler.run_in == "process":
            return self._handler

        @functools.wraps(function)
        def observed(job: Job[Any]) -> object:
            def report(progress: Progress) -> None:
                job._report(progress)
                self._observe(progress)

            return function(dataclasses.replace(job, _report=report))

        return replace(self._handler, function=observed)

    def _observe(self, progress: Progress) -> None:
        bounded = progress_from_proto(progress_to_proto(progress))
        self._progress.append(bounded)
        if self._should_cancel(bounded):
            if self._handler.is_async and self._handler.run_in is None:
                self._loop.call_soon_threadsafe(self._cancel)
            else:
                # At once, in the handler's thread, because the handler may check for a cancel next.
                # This is safe, because the cancel of a `def` handler touches no task of the loop.
                self._cancel()

    def _should_cancel(self, progress: Progress) -> bool:
        try:
            return self._cancel_when is not None and self._cancel_when(progress)
        except Exception as error:
            # The test gets this error, and not the handler, which called `progress`.
            self._cancel_when_error = self._cancel_when_error or error
            self._loop.call_soon_threadsafe(self._fail)
            return False

    def _fail(self) -> None:
        if self._state.phase is not JobPhase.ENDED:
            self._revoke(status=JobInstanceStatus.FAILED)

    def _cancel(self) -> None:
        if self._state.phase is JobPhase.RUNNING:
            self._change(phase=JobPhase.STOPPING)
            self._run.cancel()
            grace_s = self._handler.policy.cancel_grace_s
            self._loop.call_soon_threadsafe(self._loop.call_later, grace_s, self._end_grace)
        elif self._state.phase is JobPhase.WAITING:
            self._end_attempt(status=JobInstanceStatus.CANCELLED)

    def _end_grace(self) -> None:
        if self._state.phase is JobPhase.STOPPING:
            self._revoke(status=JobInstanceStatus.CANCELLED)

    def _time_out(self) -> None:
        if self._state.phase is JobPhase.RUNNING:
            self._revoke(**failures.failure_changes(self._state, failures.RUN_TIMED_OUT))

    def _expire(self) -> None:
        if self._state.phase is not JobPhase.ENDED:
            longest_life = timedelta(seconds=self._longest_life_s)
            self._revoke(**failures.expiry_changes(self._state, longest_life))

    def _revoke(self, **changes: Any) -> None:
        self._end_attempt(**changes)
        self._run.revoke()

    def _end_attempt(self, *, status: JobInstanceStatus, **changes: Any) -> None:
        is_retried = status is JobInstanceStatus.IN_PROGRESS
        phase = JobPhase.WAITING if is_retried else JobPhase.ENDED
        self._change(status=status, phase=phase, **changes)
        self._step_ended.set()

    def _change(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
