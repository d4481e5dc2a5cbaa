"""What the author of handlers uses."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, TypeVar

from fabric_jobs.executor import service
from fabric_jobs.executor.errors import HandlerDefinitionError, NoHandlersError
from fabric_jobs.executor.handlers import DEFAULT_POLICY, Handler, handler_of
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.retry import NO_RETRY, Retry, policy_of
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.executor.tasks import cancel_other_tasks

F = TypeVar("F", bound=Callable[[Job[Any]], object])

DEFAULT_SETTINGS = ExecutorSettings()
#: Seconds that cancelled tasks may take to end before the process ends without them.
END_S = 1.0


def _ignore(executor_id: str) -> None:
    """What is done when the executor is ready, unless something else is asked."""


class Executor:
    """A set of handlers, and the program that runs jobs with them.

    ```python
    executor = Executor()

    @executor.job("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
    async def calculate_forecast(job: Job[Forecast]) -> None:
        await job.progress(0.5, "half way")
    ```
    """

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}

    @property
    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """What was decorated, by item type and job type."""
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
    ) -> Callable[[F], F]:
        """Makes a function the handler of a job type; the function itself stays what it was.

        It takes the job, and is `async`, or is called in a thread. Returning completes the job,
        raising fails it, and `retry` says whether it is tried again. `run_timeout_s` is how long an
        attempt may run, in seconds; by default as long as the job may live. `cancel_grace_s` is how
        long a cancelled run may take to clean up: then the job is Cancelled without it. `slots` is
        how many jobs of the type this process runs at a time, beside the limit that all of its jobs
        share; by default there is only that one. Raises `HandlerDefinitionError`.
        """

        def register(function: F) -> F:
            policy = policy_of(retry, run_timeout_s, cancel_grace_s)
            handler = handler_of(item_type, job_type, function, policy, slots)
            if other := self._handlers.get((item_type, job_type)):
                raise HandlerDefinitionError(
                    f"{item_type} {job_type} has a handler: {other.function.__qualname__}."
                )
            self._handlers[item_type, job_type] = handler
            return function

        return register

    async def serve(
        self,
        settings: ExecutorSettings = DEFAULT_SETTINGS,
        *,
        stop: asyncio.Event | None = None,
        on_ready: Callable[[str], None] = _ignore,
    ) -> None:
        """Runs jobs until `stop` is set: then it takes no more, and lets those that run end.

        `on_ready` is called once with the executor's id, when the first jobs can come. Cancelling
        instead ends the handlers at once. Raises `NoHandlersError` and `SettingsError`, and
        `KafkaRefusedError` once it has drained because Kafka has no place for it.
        """
        if not self._handlers:
            raise NoHandlersError("The executor has no handler: decorate one with @executor.job.")
        await service.serve(
            self._handlers, settings, stop=stop or asyncio.Event(), on_ready=on_ready
        )

    def run(
        self,
        settings: ExecutorSettings = DEFAULT_SETTINGS,
        *,
        on_ready: Callable[[str], None] = _ignore,
    ) -> None:
        """`serve` as a whole program: SIGTERM and SIGINT stop it, a second one ends it at once.

        What then still runs ends with the process, whether or not it lets itself be cancelled.
        """
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(self._serve_until_signalled(settings, on_ready))

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

        # Not the loop's own: a handler that blocks the loop would hold up the second one, too.
        before = {
            number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            await self.serve(settings, stop=stop, on_ready=on_ready)
            # What handlers have left running; with what does not end, the process does.
            if not await cancel_other_tasks(END_S):
                sys.stdout.flush()
                # The runner would wait for it for ever.
                os._exit(0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, by which an executor takes a fifth less CPU; there is none for Windows."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()
