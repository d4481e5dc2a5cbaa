"""An event on its way into the log: its span, its measure, and those who wait for its outcome."""

import asyncio
import time
from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from fabric_jobs.contract.events import KnownEvent, Progressed, type_of
from fabric_jobs.facade import metrics
from fabric_jobs.facade.lifecycle import Command, Job
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica.replica import Outcome
from fabric_jobs.runtime.telemetry import tracing


class Append:
    """One append: it is over once it was read back, or has failed."""

    def __init__(self, command: Command, before: Job | None, event: KnownEvent) -> None:
        """`before` is the job that the event was decided on."""
        self.event = event
        self._command = command
        self._before = before
        self._begun = time.monotonic()
        self._outcome: Outcome | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._failed = False

    def read_back(self, outcome: Outcome) -> None:
        """The fold has read it."""
        self._outcome = outcome
        self._wake()
        seconds = time.monotonic() - self._begun
        metrics.appended(self._command, self._before, self.event, outcome[0], seconds)

    def acknowledged(self, acknowledged: asyncio.Future[object]) -> None:
        """Kafka has said what became of it, or never will."""
        if acknowledged.cancelled() or acknowledged.exception():
            self._failed = True
            self._wake()

    async def outcome(self) -> Outcome:
        """What the fold made of it; who leaves before ends it for nobody else.

        Raises `LogUnavailableError` where that can't be known.
        """
        if not (self._outcome or self._failed):
            # A future of its own: a task that is cancelled cancels what it waits for.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if self._outcome is None:
            raise LogUnavailableError("The append failed; it may be done.")
        return self._outcome

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def appending(event: KnownEvent, topic: str, partition: int) -> AbstractContextManager[Span]:
    """The span of an append: from the hand-over to Kafka until it was read back.

    Within the request or the entry that led to it; of what time led to, in the job's trace.
    """
    # A run may say every second, for a day, how far it is.
    if not tracing.is_on() or isinstance(event, Progressed):
        return tracing.NO_SPAN
    return tracing.span(
        f"append {type_of(event)}",
        SpanKind.PRODUCER,
        {
            "messaging.system": "kafka",
            "messaging.operation.name": "append",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.message.id": event.id,
            "fabric_jobs.job_id": event.subject,
            "fabric_jobs.attempt": event.data.state.attempt,
        },
        of=event.traceparent or None,
    )
