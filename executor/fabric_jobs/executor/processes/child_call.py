"""One call of a handler in a process that runs handlers."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor.errors import (
    LIFESPAN_FAILED,
    MEMORY_LIMIT,
    JobFailed,
    LifespanError,
    NoThreadError,
)
from fabric_jobs.executor.handlers import Handler, make_handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.processes.child_channel import (
    Channel,
    ForwardingHandler,
    LatestForwarder,
)
from fabric_jobs.executor.processes.current_call import bind_call
from fabric_jobs.executor.processes.functions import import_object
from fabric_jobs.executor.processes.memory import OwnMemory, memory_limit
from fabric_jobs.executor.processes.messages import Call, CheckpointSaved, Ended, Function, Reported
from fabric_jobs.executor.processes.tokens import ChildTokens
from fabric_jobs.executor.runs import final_report
from fabric_jobs.executor.runs.cancel_delivery import CancelDelivery
from fabric_jobs.executor.runs.handler_task import raised_by
from fabric_jobs.executor.runs.tracebacks import drop_tracebacks, strip_executor_frames
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids


class ChildCall:
    """The call that the event loop runs. Its cancel comes from the thread that reads messages."""

    def __init__(
        self, call: Call, channel: Channel, memory: OwnMemory, logs: ForwardingHandler
    ) -> None:
        self._call = call
        self._logs = logs
        self._memory = memory
        self.number = call.number
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        #: Cancels the task of an `async def` function, once the task runs.
        self._cancel_task: Callable[[], None] = _do_nothing
        #: Set when the executor has handled the last progress.
        self.progress_seen = threading.Event()
        self.tokens = ChildTokens(call.number, channel)
        self._progress = LatestForwarder(channel, sends_all=call.waits_for_progress)
        self._checkpoint = LatestForwarder(channel, sends_all=call.waits_for_progress)

    def cancel(self) -> None:
        """Asks the handler to end."""
        with self._lock:
            self._cancelled.set()
            self._cancel_task()

    async def run(self, open_resources: Callable[[], Awaitable[object]]) -> Ended:
        """Calls the handler's function, and returns how it ended.

        `open_resources` returns the value of the lifespan.
        """
        raised: BaseException | None = None
        with bind_call(self.number):
            try:
                resources = await open_resources()
                handler = load(self._call.function)
                self._logs.take_root()
                self._memory.measure_base()
                job = self._make_job(handler.decode(self._call.payload), resources)
                with memory_limit(self._call.memory_limit_mb):
                    raised = await self._call_handler(handler, job)
            except Exception as error:  # the lifespan's, the import's, or that of the payload
                raised = error
        self.tokens.close()
        explained = self._explain(raised)
        report = final_report.make_final_report(
            explained, cancel_requested=self._cancelled.is_set()
        )
        if explained:
            drop_tracebacks(explained)
        # The executor handles messages in their order, so these come before the final report.
        self._progress.close()
        self._checkpoint.close()
        return Ended(
            call=self.number,
            report=report.SerializeToString(),
            not_called=str(explained) if isinstance(explained, NoThreadError) else "",
            is_reusable=not (
                _lacks_memory(raised) or isinstance(raised, LifespanError | NoThreadError)
            ),
            base_mb=self._memory.base_mb,
        )

    def _make_job(self, payload: object, resources: object) -> Job[Any, Any]:
        call = self._call
        return Job(
            payload=payload,
            definition=call.definition,
            job_id=call.job_id,
            attempt=call.attempt,
            item_type=call.function.item_type,
            job_type=call.function.job_type,
            workspace_id=call.workspace_id,
            item_id=call.item_id,
            tenant_id=call.tenant_id,
            invoke_type=call.invoke_type,
            activity_id=call.activity_id,
            request_id=call.request_id,
            traceparent=call.traceparent,
            resources=resources,
            _checkpoint=call.checkpoint,
            _save_checkpoint=self._save_checkpoint,
            _is_cancelled=self._cancelled.is_set,
            _report=self._report,
            _request_token=self.tokens.request,
        )

    def _save_checkpoint(self, checkpoint: bytes) -> None:
        self._checkpoint.put(CheckpointSaved(call=self.number, checkpoint=checkpoint))

    def _report(self, progress: Progress) -> None:
        self.progress_seen.clear()
        self._progress.put(
            Reported(call=self.number, fraction=progress.fraction, message=progress.message)
        )
        if self._call.waits_for_progress:
            self.progress_seen.wait()

    async def _call_handler(self, handler: Handler, job: Job[Any]) -> BaseException | None:
        call = self._call
        loop = asyncio.get_running_loop()
        ids = {
            "job": call.job_id,
            "attempt": str(call.attempt),
            "ActivityId": call.activity_id,
            "RequestId": call.request_id,
        }
        with bind_ids(**ids), tracing.continue_trace(call.span_traceparent or call.traceparent):
            delivery = CancelDelivery(handler.call(job), name=f"handler of job {job.job_id}")
        if handler.is_async:
            with self._lock:
                self._cancel_task = lambda: _call_soon(loop, delivery.cancel)
                if self._cancelled.is_set():
                    delivery.cancel()
        await asyncio.wait({delivery.task})
        with self._lock:
            self._cancel_task = _do_nothing
        return raised_by(delivery.task)

    def _explain(self, raised: BaseException | None) -> BaseException | None:
        """Returns the failure that says what to do, or what was raised if that says it."""
        if raised is None:
            return None
        limit_mb = self._call.memory_limit_mb
        if limit_mb is not None and (_lacks_memory(raised) or isinstance(raised, NoThreadError)):
            failure = JobFailed(
                f"The handler needed more memory than memory_limit_mb={limit_mb}. Let it use less, "
                "such as by work on smaller parts of the data, or raise the limit.",
                code=MEMORY_LIMIT,
            )
        elif isinstance(raised, LifespanError):
            failure = JobFailed(f"In the handler's process: {raised}", code=LIFESPAN_FAILED)
        else:
            return raised
        failure.__cause__ = strip_executor_frames(raised)
        return failure


def load(function: Function) -> Handler:
    """Imports the function, and returns its handler. Raises what the import raises."""
    return make_handler(function.item_type, function.job_type, import_object(function))


def _lacks_memory(raised: BaseException | None) -> bool:
    """Returns true for a `MemoryError`, also for that of a task in a `TaskGroup`."""
    return raised is not None and any(
        isinstance(error, MemoryError) for error in final_report.members_of(raised)
    )


def _do_nothing() -> None:
    """Cancels no task: there is none."""


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(function)
