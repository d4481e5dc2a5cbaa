"""Appends of events: their spans, their metrics, and the commands that wait for their outcomes."""

import asyncio
import time
from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Checkpointed, KnownEvent, Progressed, type_of
from fabric_jobs.facade import metrics
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.turns import Turns
from fabric_jobs.facade.lifecycle import Command, Job
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.replica.replica import Outcome
from fabric_jobs.runtime.telemetry import tracing

_HEADERS = [("content-type", events.CONTENT_TYPE.encode())]


class Append:
    """One append. It ends when this replica has applied the event, or when Kafka refused it."""

    def __init__(self, command: Command, before: Job | None, event: KnownEvent) -> None:
        """`before` is the job that the event was decided on; None for a job's first event."""
        self.event = event
        self._command = command
        self._before = before
        self._begun = time.monotonic()
        self._outcome: Outcome | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._failed = False

    def resolve(self, outcome: Outcome) -> None:
        """Takes the fold's verdict on the event, which this replica has just read."""
        self._outcome = outcome
        self._wake()
        seconds = time.monotonic() - self._begun
        metrics.record_append(self._command, self._before, self.event, outcome[0], seconds)

    def acknowledge(self, acknowledgement: asyncio.Future[object]) -> None:
        """Takes Kafka's answer to the append; a cancelled future means that none will come."""
        if acknowledgement.cancelled() or acknowledgement.exception():
            self.give_up()

    def give_up(self) -> None:
        """Ends the waits without an outcome, unless there is an outcome."""
        self._failed = True
        self._wake()

    async def outcome(self) -> Outcome:
        """The fold's verdict on the event. A caller that is cancelled ends no other caller's wait.

        Raises `UnavailableError` if the append failed, because the event may be on the log anyway.
        """
        if not (self._outcome or self._failed):
            # A future for each caller, because a cancelled task cancels the future it awaits.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._outcome is None:
            raise UnavailableError(
                UnavailableReason.OUTCOME_UNKNOWN,
                "The append failed, and the event may be on the log all the same. "
                "Send the command again: repeating is safe.",
            )
        return self._outcome

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Appends:
    """Appends events to the log, and waits for their outcomes, which the replica decides."""

    def __init__(self, log: Log, replica: Replica, turns: Turns) -> None:
        """`turns` holds the turn of each job while an event of the job is appended."""
        self._log = log
        self._replica = replica
        self._turns = turns

    async def append(self, append: Append, partition: int) -> Outcome:
        """Appends the event to the partition, and returns its outcome.

        If this call is cancelled after the event was handed over, the append keeps its job's turn
        until it has an outcome, or until it can't have one any more.
        """
        with append_span(append.event, self._log.topic, partition) as span:
            verdict, stored = await self._append(append, partition)
            span.set_attribute("fabric_jobs.verdict", verdict.value)
            return verdict, stored

    async def _append(self, append: Append, partition: int) -> Outcome:
        event = append.event
        self._replica.expect(event.id, append.resolve)
        try:
            acknowledgement = await self._log.append(
                partition, event.subject.encode(), events.encode(event), _HEADERS
            )
        except BaseException:
            self._replica.forget(event.id)
            raise
        acknowledgement.add_done_callback(append.acknowledge)
        try:
            return await self._outcome(append)
        except asyncio.CancelledError:
            resolving = self._resolve_late(append, acknowledgement)
            self._turns.leave_unresolved(event.subject, resolving)
            raise

    async def _resolve_late(
        self, append: Append, acknowledgement: asyncio.Future[object]
    ) -> Outcome:
        """The outcome of an append whose command no longer waits for it."""
        reading = asyncio.create_task(self._read_past(append, acknowledgement), name="read past")
        try:
            return await self._outcome(append)
        finally:
            reading.cancel()

    async def _read_past(self, append: Append, acknowledgement: asyncio.Future[object]) -> None:
        """Gives an append up once the log was read to its end after Kafka's acknowledgement.

        An acknowledged event is read by then, unless the brokers lost its record. A lost event gets
        no outcome, so no later command of the job may wait for it.
        """
        await asyncio.wait([acknowledgement])
        await self._log.catch_up()
        append.give_up()

    async def _outcome(self, append: Append) -> Outcome:
        try:
            return await append.outcome()
        except UnavailableError:
            self._replica.forget(append.event.id)
            raise


def append_span(event: KnownEvent, topic: str, partition: int) -> AbstractContextManager[Span]:
    """The span of an append, from its hand-over to Kafka until this replica applies it.

    Its parent is the current span, which is a request's or an entry's. A timer has no span: then
    the parent is the job's own.
    """
    # A run may report its progress and save a checkpoint every second for a day.
    if not tracing.is_enabled() or isinstance(event, Progressed | Checkpointed):
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
        traceparent=event.traceparent or None,
    )
