"""Reads the topic in the pool's consumer group, and starts a run for each dispatched attempt.

Rule 1: the consumer is polled for as long as it lives, however long the runs take.
Rule 2: a record whose attempt finds no free slot waits in memory, with the records that were read
after it on its partition. The partition is paused until these records are taken. Other partitions
go on.
Rule 3: a record is committed when its claim is decided, not when its job is done.
Rule 4: after any failure here the consumer is replaced. Records that were read but not committed
are then read again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from contextlib import suppress

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract.events import NotAnEventError
from fabric_jobs.executor import metrics
from fabric_jobs.executor.consumer import make_consumer, seek_uncommitted
from fabric_jobs.executor.dispatches import DispatchedAttempt, attempt_from_record
from fabric_jobs.executor.offsets import Offsets
from fabric_jobs.executor.runs import Runs
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import connect_client, map_authorization_errors

log = logging.getLogger("fabric_jobs.executor")

POLL_MS = 500
COMMIT_INTERVAL_S = 1.0
#: Seconds that leaving the group may take. Without a limit, aiokafka waits for absent brokers.
STOP_TIMEOUT_S = 5.0
SEEK_TIMEOUT_S = 10.0


class Intake(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """The records of the partitions that the group assigns to this process."""

    def __init__(self, settings: ExecutorSettings, executor_id: str, runs: Runs) -> None:
        self._settings = settings
        self._executor_id = executor_id
        self._runs = runs
        self._offsets = Offsets()
        #: By paused partition, the records that wait for a slot (rule 2).
        self._waiting: dict[TopicPartition, deque[ConsumerRecord]] = {}
        #: Set while the process has an assignment, also an empty one.
        self.assigned = asyncio.Event()

    async def consume(self) -> None:
        """Joins the group, and reads records until it is cancelled or the consumer fails.

        Raises `KafkaRefusedError` if Kafka refuses the consumer, and otherwise aiokafka's error.
        """
        self._consumer = make_consumer(self._settings, self._executor_id)
        self._consumer.subscribe([self._settings.events_topic], listener=self)
        loops: set[asyncio.Task[None]] = set()
        try:
            settings = self._settings
            with map_authorization_errors(
                settings, "Read", settings.events_topic, group=settings.pool
            ):
                await connect_client(self._consumer, settings)
                for loop in (self._poll_forever, self._resume_when_freed, self._commit_regularly):
                    loops.add(asyncio.create_task(loop(), name=f"intake {loop.__name__}"))
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
            self._forget_partitions()
            self.assigned.clear()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Forgets the partitions. It does not commit, because a commit here can deadlock."""
        self._forget_partitions()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Starts to read the partitions at the positions that the pool committed."""
        self._offsets.assign(partition.partition for partition in assigned)
        if assigned and self._settings.broker.record_time:
            try:
                async with asyncio.timeout(SEEK_TIMEOUT_S):
                    await seek_uncommitted(self._consumer, assigned)
            except (KafkaError, TimeoutError) as error:
                log.warning("intake: it starts at the earliest record: %r", error)
        self.assigned.set()

    def _forget_partitions(self) -> None:
        self._offsets.assign(())
        self._waiting.clear()

    async def _poll_forever(self) -> None:
        while True:
            await self._poll()
            # A poll that has records does not yield, so other tasks would not run.
            await asyncio.sleep(0)

    async def _poll(self) -> None:
        if not self._runs.free_slots:
            # A record that is read now would pause its partition, and aiokafka fetches the records
            # of a paused partition again later. To wait a little for a slot avoids that.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_MS / 1000):
                    await self._runs.wait_for_freed_slot()
        free = self._runs.free_slots
        batches = await self._consumer.getmany(
            timeout_ms=POLL_MS if free else 0, max_records=max(free, 1)
        )
        for partition, records in batches.items():
            waiting = self._take_in_order(deque(records))
            if waiting:
                self._consumer.pause(partition)
                self._waiting[partition] = waiting

    async def _resume_when_freed(self) -> None:
        while True:
            await self._runs.wait_for_freed_slot()
            for partition, records in tuple(self._waiting.items()):
                if not self._take_in_order(records):
                    del self._waiting[partition]
                    self._consumer.resume(partition)

    def _take_in_order(self, records: deque[ConsumerRecord]) -> deque[ConsumerRecord]:
        """Takes records up to the first one that finds no slot, and returns the rest."""
        while records and self._take(records[0]):
            records.popleft()
        return records

    def _take(self, record: ConsumerRecord) -> bool:
        """Starts a run if the record dispatches an attempt that this process wants.

        Returns false, and takes nothing, if the run needs a slot and none is free.
        """
        dispatched = self._decode(record)
        if dispatched and self._runs.wants(dispatched):
            if not self._runs.has_slot(dispatched):
                return False
            partition, offset = record.partition, record.offset
            self._offsets.mark_undecided(partition, offset)
            self._runs.start(
                dispatched, on_decided=lambda: self._offsets.mark_decided(partition, offset)
            )
        self._offsets.mark_read(record.partition, record.offset)
        return True

    def _decode(self, record: ConsumerRecord) -> DispatchedAttempt | None:
        try:
            return attempt_from_record(record.partition, record.offset, record.value)
        except NotAnEventError as error:
            metrics.POISON.add(1)
            log.warning(
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
