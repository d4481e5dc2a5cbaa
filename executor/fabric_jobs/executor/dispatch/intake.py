"""Reads the topic in the pool's consumer group, and puts dispatched attempts into the ready queue.

Rule 1: the consumer is polled for as long as it lives, however long the runs take.
Rule 2: records are read ahead. The partitions are paused only while the ready queue is full.
Rule 3: a record is committed when its claim is decided, not when its job is done. An attempt in the
ready queue is not decided.
Rule 4: an attempt leaves the ready queue when a later event of its job is read, because the attempt
was then started elsewhere, or its job is over.
Rule 5: a rebalance empties the ready queue. After any failure here the consumer is replaced. In
both cases records that were read but not committed are read again.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Event, NotAnEventError
from fabric_jobs.executor import metrics
from fabric_jobs.executor.dispatch.consumer import NameGuard, make_consumer, seek_uncommitted
from fabric_jobs.executor.dispatch.dispatches import attempt_from_event
from fabric_jobs.executor.dispatch.offsets import Offsets
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue
from fabric_jobs.executor.runs.runs import Runs
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import (
    abandon_client,
    connect_client,
    map_authorization_errors,
    unreachable_text,
)
from fabric_jobs.runtime.telemetry.summaries import LogSummary

log = logging.getLogger("fabric_jobs.executor")
_poison = LogSummary(log)

POLL_MS = 500
#: The largest number of records that one poll takes. The event loop does nothing else meanwhile.
MAX_POLL_RECORDS = 100
COMMIT_INTERVAL_S = 1.0
#: Seconds that leaving the group may take. Without a limit, aiokafka waits for absent brokers.
STOP_TIMEOUT_S = 5.0
SEEK_TIMEOUT_S = 10.0


class Intake(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """The records of the partitions that the group assigns to this process."""

    def __init__(
        self, settings: ExecutorSettings, executor_id: str, runs: Runs, ready: ReadyQueue
    ) -> None:
        """`ready` is the queue that `runs` takes its attempts from."""
        self._settings = settings
        self._executor_id = executor_id
        self._runs = runs
        self._ready = ready
        self._name_guard = NameGuard(settings, executor_id)
        self._offsets = Offsets()
        self._is_paused = False
        #: Set while the process has an assignment, also an empty one.
        self.assigned = asyncio.Event()

    async def consume(self) -> None:
        """Joins the group, and reads records until it is cancelled or the consumer fails.

        Raises `KafkaRefusedError` if Kafka refuses the consumer, `ConnectionError` if no broker
        is reachable, and otherwise aiokafka's error.
        """
        self._consumer = make_consumer(self._settings, self._executor_id)
        self._name_guard.forget()
        self._consumer.subscribe([self._settings.events_topic], listener=self)
        loops: set[asyncio.Task[None]] = set()
        try:
            settings = self._settings
            with (
                self._name_guard.map_error(),
                map_authorization_errors(
                    settings, "Read", settings.events_topic, group=settings.pool
                ),
            ):
                try:
                    await connect_client(self._consumer, settings)
                except KafkaConnectionError as error:
                    raise ConnectionError(unreachable_text(settings, error)) from error
                for loop in (self._poll_forever, self._commit_regularly):
                    loops.add(asyncio.create_task(loop(), name=f"intake {loop.__name__}"))
                loops.add(asyncio.create_task(self._name_guard.wait(), name="intake name guard"))
                failed, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
                for task in failed:
                    task.result()
        finally:
            for task in loops:
                task.cancel()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await asyncio.gather(*loops, return_exceptions=True)
                    await self._commit()
                    await self._consumer.stop()
            # Not raised: if it replaced a cancel, the intake would be restarted.
            except Exception as error:
                log.warning("intake: it could not leave the consumer group: %r", error)
            finally:
                abandon_client(self._consumer)
            self._forget_partitions()
            self.assigned.clear()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Forgets the partitions. It does not commit, because a commit here can deadlock."""
        self._forget_partitions()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Starts to read the partitions at the positions that the pool committed."""
        self._name_guard.note(self._consumer)
        self._offsets.assign(partition.partition for partition in assigned)
        if assigned and self._settings.broker.record_time:
            try:
                async with asyncio.timeout(SEEK_TIMEOUT_S):
                    await seek_uncommitted(self._consumer, assigned)
            except (KafkaError, TimeoutError) as error:
                log.warning("intake: it starts at the earliest record: %r", error)
        self.assigned.set()
        log.info("intake: reads %d partitions of %s", len(assigned), self._settings.events_topic)

    def _forget_partitions(self) -> None:
        self._offsets.assign(())
        for waiting in self._ready.clear():
            # Otherwise the position would stop at the record, even if another executor claims it.
            waiting.on_decided()
        metrics.WAITING.set(0)
        # aiokafka pauses no partition of a new assignment.
        self._is_paused = False

    async def _poll_forever(self) -> None:
        while True:
            await self._poll()
            # A poll that has records does not yield, so other tasks would not run.
            await asyncio.sleep(0)

    async def _poll(self) -> None:
        if self._ready.is_full:
            self._consumer.pause(*self._consumer.assignment())
            self._is_paused = True
        elif self._is_paused and self._ready.has_room:
            self._consumer.resume(*self._consumer.assignment())
            self._is_paused = False
        if self._is_paused:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_MS / 1000):
                    await self._runs.wait_for_freed_slot()
        batches = await self._consumer.getmany(
            timeout_ms=0 if self._is_paused else POLL_MS,
            max_records=min(MAX_POLL_RECORDS, max(1, self._ready.free_jobs)),
        )
        for records in batches.values():
            for record in records:
                self._take(record)
        # Only now, so that the choice is among all that was read.
        self._runs.start_ready()

    def _take(self, record: ConsumerRecord) -> None:
        partition, offset = record.partition, record.offset
        if event := self._decode(record):
            if event.data.follows and (passed := self._ready.remove(event.data.follows)):
                passed.on_decided()
            dispatched = attempt_from_event(event, partition, offset)
            if dispatched and self._runs.wants(dispatched):
                self._offsets.mark_undecided(partition, offset)
                self._runs.put(
                    dispatched,
                    event.time,
                    on_decided=lambda: self._offsets.mark_decided(partition, offset),
                )
        self._offsets.mark_read(partition, offset)

    def _decode(self, record: ConsumerRecord) -> Event | None:
        try:
            return events.decode_record(record.key, record.value)
        except NotAnEventError as error:
            metrics.POISON.add(1)
            _poison.add(
                "intake: the record at partition %d, offset %d is not an event: %s",
                record.partition,
                record.offset,
                error,
            )
            return None

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            await self._commit()

    async def _commit(self) -> None:
        positions = self._offsets.positions_to_commit()
        if not positions:
            return
        topic = self._settings.events_topic
        try:
            await self._consumer.commit(
                {TopicPartition(topic, partition): at for partition, at in positions.items()}
            )
        except KafkaError as error:
            # For example after a rebalance. It is harmless: if another executor reads the records
            # again, its claims are decided like any others.
            log.info("intake: the positions were not committed: %r", error)
        else:
            self._offsets.mark_committed(positions)
