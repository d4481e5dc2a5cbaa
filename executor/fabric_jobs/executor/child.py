"""The program of a process that runs handlers: `python -m fabric_jobs.executor.child PARENT`.

It reads calls from standard input, runs one at a time in its main thread, and writes what happens
to standard output. What a handler prints goes to standard error. `PARENT` is the executor's process
id: no process outlives its executor.
"""

import asyncio
import ctypes
import faulthandler
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fabric_jobs.executor import final_report
from fabric_jobs.executor.calls import call_def
from fabric_jobs.executor.cancel_delivery import CancelDelivery
from fabric_jobs.executor.child_channel import Channel, ForwardingHandler, ProgressForwarder
from fabric_jobs.executor.errors import MEMORY_LIMIT, JobFailed
from fabric_jobs.executor.event_loop import new_event_loop
from fabric_jobs.executor.functions import import_function
from fabric_jobs.executor.handlers import Handler, make_handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.process_messages import (
    Began,
    Call,
    Cancel,
    Check,
    Checked,
    Ended,
    Function,
    ProgressSeen,
    Start,
)
from fabric_jobs.executor.signals import handle_stop_signals
from fabric_jobs.executor.tracebacks import strip_executor_frames
from fabric_jobs.runtime.telemetry import providers, tracing
from fabric_jobs.runtime.telemetry.logs import bind_ids

#: The option of Linux's `prctl` that ends this process with its parent.
PR_SET_PDEATHSIG = 1


class RunningCall:
    """The call that the main thread runs. Its cancel comes from the thread that reads."""

    def __init__(self, call: Call, channel: Channel) -> None:
        self._call = call
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        #: Cancels the task of an `async def` function, once the task runs.
        self._cancel_task: Callable[[], None] = _do_nothing
        self.progress = ProgressForwarder(channel, waits=call.waits_for_progress)

    def cancel(self) -> None:
        """Asks the handler to end."""
        with self._lock:
            self._cancelled.set()
            self._cancel_task()

    def run(self) -> Ended:
        """Calls the handler's function, and returns how it ended."""
        raised: BaseException | None = None
        try:
            handler = _load(self._call.function)
            job = self._make_job(handler.decode(self._call.payload))
            with _memory_limit(self._call.memory_limit_mb):
                raised = self._call_function(handler, job)
        except Exception as error:  # the import's, or that of the payload
            raised = error
        is_reusable = not isinstance(raised, MemoryError)
        report = final_report.make_final_report(
            self._explain(raised), cancel_requested=self._cancelled.is_set()
        )
        self.progress.flush()
        return Ended(report=report.SerializeToString(), is_reusable=is_reusable)

    def _make_job(self, payload: object) -> Job[Any]:
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
            _is_cancelled=self._cancelled.is_set,
            _report=self.progress.put,
        )

    def _call_function(self, handler: Handler, job: Job[Any]) -> BaseException | None:
        call = self._call
        ids = {
            "job": call.job_id,
            "attempt": str(call.attempt),
            "ActivityId": call.activity_id,
            "RequestId": call.request_id,
        }
        with bind_ids(**ids), tracing.continue_trace(call.span_traceparent or call.traceparent):
            try:
                if handler.is_async:
                    with asyncio.Runner(loop_factory=new_event_loop) as runner:
                        return runner.run(self._run_task(handler, job))
                call_def(handler.function, job)
            except (SystemExit, KeyboardInterrupt) as error:
                failure = RuntimeError(f"The handler raised {error!r}")
                failure.__cause__ = strip_executor_frames(error)
                return failure
            except BaseException as error:
                return error
        return None

    async def _run_task(self, handler: Handler, job: Job[Any]) -> BaseException | None:
        loop = asyncio.get_running_loop()
        delivery = CancelDelivery(handler.call_async(job), name=f"handler of job {job.job_id}")
        with self._lock:
            self._cancel_task = lambda: _call_soon(loop, delivery)
            if self._cancelled.is_set():
                delivery.cancel()
        await asyncio.wait({delivery.task})
        with self._lock:
            self._cancel_task = _do_nothing
        task = delivery.task
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    def _explain(self, raised: BaseException | None) -> BaseException | None:
        limit_mb = self._call.memory_limit_mb
        if limit_mb is None or not isinstance(raised, MemoryError):
            return raised
        failure = JobFailed(
            f"The handler needed more memory than memory_limit_mb={limit_mb}. Let it use less, "
            "such as by work on smaller parts of the data, or raise the limit.",
            code=MEMORY_LIMIT,
        )
        failure.__cause__ = strip_executor_frames(raised)
        return failure


def _do_nothing() -> None:
    """Cancels no task: there is none."""


def _call_soon(loop: asyncio.AbstractEventLoop, delivery: CancelDelivery) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(delivery.cancel)


def _load(function: Function) -> Handler:
    """Imports the function, and returns its handler. Raises what the import raises."""
    return make_handler(
        function.item_type,
        function.job_type,
        import_function(function.module, function.qualname),
    )


@contextmanager
def _memory_limit(limit_mb: int | None) -> Iterator[None]:
    """Limits the private memory of this process inside the block, where the platform can."""
    if limit_mb is None or sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


class Child:
    """The process: a thread reads messages, and the main thread does the work."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._work: queue.SimpleQueue[Call | Check | None] = queue.SimpleQueue()
        self._running: RunningCall | None = None

    def run(self) -> None:
        """Works until the executor closes the channel."""
        threading.Thread(target=self._read, name="fabric-jobs messages", daemon=True).start()
        while work := self._work.get():
            if isinstance(work, Check):
                self._channel.send(Checked(reason=_why_not_importable(work.function)))
                continue
            # `_read` has set it already, so that no cancel is lost.
            assert self._running is not None
            ended = self._running.run()
            self._running = None
            self._channel.send(ended)

    def _read(self) -> None:
        while (message := self._channel.receive()) is not None:
            running = self._running
            if isinstance(message, Call):
                self._running = RunningCall(message, self._channel)
                self._channel.send(Began())
                self._work.put(message)
            elif isinstance(message, Check):
                self._work.put(message)
            elif isinstance(message, Cancel) and running:
                running.cancel()
            elif isinstance(message, ProgressSeen) and running:
                running.progress.seen.set()
        if self._running:
            # The executor has died, so nothing waits for the handler.
            os._exit(1)
        self._work.put(None)


def _why_not_importable(function: Function) -> str:
    try:
        _load(function)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _end_with_parent(parent_id: int) -> None:
    if sys.platform == "linux":
        # Also while a C call holds the interpreter's lock, so that no thread here can notice.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.name == "posix" and os.getppid() != parent_id:
        sys.exit(0)  # the executor has died meanwhile


def main() -> None:
    """Runs the program."""
    _end_with_parent(int(sys.argv[1]))
    channel = Channel.from_standard_streams()
    faulthandler.enable()
    start = channel.receive()
    assert isinstance(start, Start)
    sys.path[:] = start.sys_path
    ForwardingHandler(channel).install(start.log_level)
    # The executor asks for an end by a message. An orchestrator may signal every process.
    with (
        handle_stop_signals(lambda number, frame: None),
        providers.export_telemetry("fabric-jobs-executor", os.environ, prometheus=False),
    ):
        tracing.enable()
        Child(channel).run()


if __name__ == "__main__":
    main()
