"""The public API: `Executor`, which registers handlers and runs their jobs."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from types import FrameType
from typing import Any, Generic

from typing_extensions import TypeVar

from fabric_jobs.executor import service
from fabric_jobs.executor.errors import (
    HandlerDefinitionError,
    HelloRefusedError,
    LifespanError,
    NoHandlersError,
)
from fabric_jobs.executor.event_loop import (
    LoopThreads,
    cancel_other_tasks,
    new_event_loop,
    run_despite_exits,
)
from fabric_jobs.executor.handlers import DEFAULT_POLICY, Handler, RunIn, make_handler
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.lifespan import Lifespan
from fabric_jobs.executor.retry import NO_RETRY, Retry, make_policy
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.executor.signals import end_forked_children, exit_at_once, handle_stop_signals
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError

R = TypeVar("R", default=object)
P = TypeVar("P")
#: What a handler returns: nothing, directly or in the event loop.
Result = TypeVar("Result", None, Coroutine[Any, Any, None])

DEFAULT_SETTINGS = ExecutorSettings()
#: Seconds that cancelled tasks may take to end, and that threads may take after them. Then the
#: process ends, and does not wait for those that are left.
END_S = 1.0


def _do_nothing(executor_id: str) -> None:
    """The default of `on_ready`."""


class Executor(Generic[R]):
    """A set of job handlers, and the program that runs jobs with them.

    ```python
    executor = Executor()

    @executor.job("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
    async def calculate_forecast(job: Job[Forecast]) -> None:
        await job.progress(0.5, "half way")
    ```
    """

    def __init__(self, *, lifespan: Lifespan[R] | None = None) -> None:
        """`lifespan` opens what the handlers share, such as a connection pool.

        It is a function without parameters that returns an asynchronous context manager. The
        context manager is entered once, before the first job is claimed, and left once, after the
        last run has ended. Its value is the `job.resources` of each `Job[Payload, Resources]`.
        """
        self.lifespan = lifespan
        self._handlers: dict[tuple[str, str], Handler] = {}

    @property
    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """The registered handlers. Each key is a pair of item type and job type."""
        return self._handlers

    def job(
        self,
        item_type: str,
        job_type: str,
        *,
        retry: Retry = NO_RETRY,
        run_timeout_s: float | None = None,
        cancel_grace_s: float = DEFAULT_POLICY.cancel_grace_s,
        slots: int | None = None,
        priority: int | None = None,
        run_in: RunIn | None = None,
        memory_limit_mb: int | None = None,
    ) -> Callable[[Callable[[Job[P, R]], Result]], Callable[[Job[P, R]], Result]]:
        """Registers a function as the handler of a job type, and returns the function unchanged.

        The function takes one argument, a `Job`. An `async def` function runs in the event loop. A
        `def` function runs in a thread of its own. The job completes when the function returns, and
        fails when the function raises an exception; `JobFailed` chooses the error.

        `item_type` and `job_type` are the names in the workload's manifest.
        `retry` says how often a failed attempt is retried. The default is no retry.
        `run_timeout_s` is the number of seconds after which a running attempt fails. The default,
        `None`, is the longest life of a job, which the service sets: 24 hours, unless it has
        another. An executor with a longer timeout than that ends at its start.
        `cancel_grace_s` is the number of seconds that the function may run after a cancel. Then the
        job becomes Cancelled, whatever the function does. The default is 60.
        `slots` is the number of jobs of this type that the process runs at a time, at least 1. The
        default, `None`, is no limit besides `FABRIC_JOBS_SLOTS`, which all job types share.
        `priority` is a whole number from 1 to 9. Waiting jobs of a higher priority start first. The
        default, `None`, depends on who requested the job: 7 for a user (`Manual`), 5 for a schedule
        (`Scheduled`), and 3 if that is unknown. A job that has waited for 55 minutes starts before
        all others.
        `run_in="process"` runs the function in a process of its own, which can be ended whatever
        the function does. The process imports the function, so the function must be at the top
        level of a module that is not the main program.
        `memory_limit_mb` is the memory in MB that such a process may use while the function runs,
        at least 128. It is limited on Linux only. The default, `None`, is no limit.

        Raises `HandlerDefinitionError` if the function can't be a handler, if a value is out of its
        range, or if the job type has a handler already.
        """

        def register(function: Callable[[Job[P, R]], Result]) -> Callable[[Job[P, R]], Result]:
            try:
                policy = make_policy(retry, run_timeout_s, cancel_grace_s)
            except HandlerDefinitionError as error:
                raise HandlerDefinitionError(f"{item_type} {job_type}: {error}") from error
            handler = make_handler(
                item_type,
                job_type,
                function,
                policy,
                slots,
                priority,
                run_in,
                memory_limit_mb,
            )
            self._add(handler)
            return function

        return register

    def include(self, other: "Executor[R] | Executor[object]") -> None:
        """Adds the handlers that another executor has now, such as that of another module.

        Raises `HandlerDefinitionError` if both executors have a handler for one job type, or if the
        other executor has a lifespan: only the lifespan of the executor that runs is used.
        """
        if other.lifespan is not None:
            raise HandlerDefinitionError(
                "The included executor has a lifespan, which would not run. Give the lifespan to "
                "the executor that includes it."
            )
        for handler in other.handlers.values():
            self._add(handler)

    def _add(self, handler: Handler) -> None:
        key = handler.item_type, handler.job_type
        if other := self._handlers.get(key):
            raise HandlerDefinitionError(
                f"{' '.join(key)} already has a handler: {_place(other)}. "
                f"The second handler is {_place(handler)}."
            )
        self._handlers[key] = handler

    async def serve(
        self,
        settings: ExecutorSettings = DEFAULT_SETTINGS,
        *,
        stop: asyncio.Event | None = None,
        on_ready: Callable[[str], None] = _do_nothing,
    ) -> None:
        """Runs jobs until `stop` is set. Then it starts no more jobs, and drains.

        While it drains, running handlers have `settings.drain_s` seconds to end. Jobs whose
        handlers have not ended by then are handed back, so that another executor runs them. To
        cancel this call instead ends the handlers at once.

        `on_ready` is called once, with the executor's id, when the executor is connected to a
        facade and has joined its consumer group.

        Raises `NoHandlersError` if no handler is registered, `SettingsError` if a setting is
        wrong, and `LifespanError` if the lifespan fails to start. If a facade or Kafka refuses the
        executor, or if the lifespan ends by itself, it drains and then raises `HelloRefusedError`,
        `KafkaRefusedError` or `LifespanError`.
        """
        if not self._handlers:
            raise NoHandlersError(
                "The executor has no handler: decorate a function with @executor.job."
            )
        await service.serve(
            self._handlers, self.lifespan, settings, stop=stop or asyncio.Event(), on_ready=on_ready
        )

    def run(
        self,
        settings: ExecutorSettings = DEFAULT_SETTINGS,
        *,
        on_ready: Callable[[str], None] = _do_nothing,
    ) -> None:
        """Runs `serve` as a whole program, in an event loop of its own.

        The first SIGTERM or SIGINT stops the executor, which then drains. A second signal ends the
        process at once. A handler that ignores its cancel ends with the process, and so does a
        call in a thread of `asyncio.to_thread`.
        """
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            run_despite_exits(runner.get_loop(), self._serve_until_signalled(settings, on_ready))

    async def _serve_until_signalled(
        self, settings: ExecutorSettings, on_ready: Callable[[str], None]
    ) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stopping = False

        def on_signal(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            if stopping:
                # No exception: it would wait for the handlers that do not end.
                os._exit(128 + number)
            stopping = True
            loop.call_soon_threadsafe(stop.set)

        threads = LoopThreads()
        loop.set_default_executor(threads)
        failure: HelloRefusedError | KafkaRefusedError | LifespanError | None = None
        # Not the loop's own: a handler that blocks the loop would hold up the second one, too.
        with handle_stop_signals(on_signal):
            try:
                await self.serve(settings, stop=stop, on_ready=on_ready)
            except (HelloRefusedError, KafkaRefusedError, LifespanError) as error:
                failure = error
            # Handlers may have left tasks and threads running.
            has_ended = await cancel_other_tasks(END_S)
            has_ended &= threads.end(END_S)
            end_forked_children()
            if not has_ended:
                if failure:
                    print(failure, file=sys.stderr, flush=True)
                # The runner would wait for ever for a task or a thread that does not end.
                exit_at_once(exit_code(failure))
        if failure:
            raise failure


def exit_code(failure: Exception | None) -> int:
    """Returns the exit code of a program that has stopped because of this failure."""
    if failure is None:
        return 0
    return 1 if isinstance(failure, LifespanError) else 2


def _place(handler: Handler) -> str:
    return f"{handler.function.__module__}.{handler.function.__qualname__}"
