"""Kafka in: reads the topic in the pool's consumer group, and starts a run for each dispatch.

Rule 1: the consumer is polled for as long as it lives, whatever the runs do.
Rule 2: a record that finds no free slot is kept, with what was read behind it; its partition is
paused until they are taken. Others go on.
Rule 3: a record is committed when its claim is decided, not when its job is done.
Rule 4: whatever fails here, the consumer is made anew; what was read and not committed comes again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from fabric_jobs.contract.events import NotAnEventError
from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.executor import metrics
from fabric_jobs.executor.dispatches import Dispatched, of_record
from fabric_jobs.executor.offsets import Offsets
from fabric_jobs.executor.runs import Runs
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.kafka.clients import (
    client_arguments,
    connect_client,
    map_authorization_errors,
)

log = logging.getLogger("fabric_jobs.executor")

POLL_MS = 500
COMMIT_INTERVAL_S = 1.0
#: Seconds that leaving may take; aiokafka's own stop waits for brokers that are away.
STOP_S = 5.0
POSITION_S = 10.0


class Intake(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """The pool's part of the topic that falls to this process."""

    def __init__(self, settings: ExecutorSettings, executor_id: str, runs: Runs) -> None:
        self._settings = settings
        self._executor_id = executor_id
        self._runs = runs
        self._offsets = Offsets()
        self._kept: dict[TopicPartition, deque[ConsumerRecord]] = {}
        #: Set while partitions are assigned, be they none.
        self.assigned = asyncio.Event()

    async def consume(self) -> None:
        """Joins the group and reads until it is cancelled, or the consumer fails.

        Raises `KafkaRefusedError` where it would fail again.
        """
        self._consumer = self._make_consumer()
        self._consumer.subscribe([self._settings.events_topic], listener=self)
        loops: set[asyncio.Task[None]] = set()
        try:
            settings = self._settings
            with map_authorization_errors(
                settings, "Read", settings.events_topic, group=settings.pool
            ):
                await connect_client(self._consumer, settings)
                for loop in (self._poll_on(), self._take_as_slots_free(), self._commit_regularly()):
                    loops.add(asyncio.create_task(loop, name="intake"))
                failed, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
                for task in failed:
                    task.result()
        finally:
            for task in loops:
                task.cancel()
            try:
                async with asyncio.timeout(STOP_S):
                    await asyncio.gather(*loops, return_exceptions=True)
                    await self._commit()
                    await self._consumer.stop()
            except Exception as error:  # in place of a cancel it would begin all anew
                log.warning("intake: the brokers were not left in order: %r", error)
            self._let_go()
            self.assigned.clear()

    def _make_consumer(self) -> AIOKafkaConsumer:
        settings, broker = self._settings, self._settings.broker
        name = settings.executor_name
        return AIOKafkaConsumer(
            **client_arguments(settings),
            client_id=self._executor_id,
            group_id=settings.pool,
            # Only a name that outlives a restart: the group would wait for each one that does not.
            group_instance_id=f"{settings.pool}.{name}" if name else None,
            # More than one, and aiokafka joins the group once for each.
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=broker.session_timeout_ms,
            rebalance_timeout_ms=broker.session_timeout_ms,
            # A member learns from its heartbeat that another joins: all wait for the slowest.
            heartbeat_interval_ms=min(3_000, broker.session_timeout_ms // 3),
            fetch_max_wait_ms=broker.fetch_max_wait_ms,
        )

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Only bookkeeping: a commit here can deadlock."""
        self._let_go()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Takes the partitions up, where the pool left them."""
        self._offsets.assign(partition.partition for partition in assigned)
        if assigned and self._settings.broker.record_time:
            try:
                async with asyncio.timeout(POSITION_S):
                    await self._begin_uncommitted(assigned)
            except (KafkaError, TimeoutError) as error:
                log.warning("intake: begins at the earliest record: %r", error)
        self.assigned.set()

    async def _begin_uncommitted(self, assigned: Collection[TopicPartition]) -> None:
        partitions = list(assigned)
        committed = await asyncio.gather(*map(self._consumer.committed, partitions))
        fresh = [
            partition
            for partition, offset in zip(partitions, committed, strict=True)
            if offset is None
        ]
        if not fresh:
            return
        # Before the look-up by time: a record that comes between the two is not passed.
        ends = await self._consumer.end_offsets(fresh)
        # A job that was requested longer ago has started, or has failed by its start deadline.
        since_ms = int((time.time() - START_DEADLINE.total_seconds()) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(fresh, since_ms))
        for partition in fresh:
            at = found[partition]
            self._consumer.seek(partition, at.offset if at else ends[partition])

    def _let_go(self) -> None:
        self._offsets.assign(())
        self._kept.clear()

    async def _poll_on(self) -> None:
        while True:
            await self._poll()
            # With records at hand a poll does not wait, and nothing else would get a turn.
            await asyncio.sleep(0)

    async def _poll(self) -> None:
        if not self._runs.free_slots:
            # What is read now is kept, and a paused partition is fetched again: wait a little.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_MS / 1000):
                    await self._runs.freed()
        free = self._runs.free_slots
        batches = await self._consumer.getmany(
            timeout_ms=POLL_MS if free else 0, max_records=max(free, 1)
        )
        for partition, records in batches.items():
            waiting = self._take_from(deque(records))
            if waiting:
                self._consumer.pause(partition)
                self._kept[partition] = waiting

    async def _take_as_slots_free(self) -> None:
        while True:
            await self._runs.freed()
            self._take_kept()

    def _take_kept(self) -> None:
        for partition, records in tuple(self._kept.items()):
            if not self._take_from(records):
                del self._kept[partition]
                self._consumer.resume(partition)

    def _take_from(self, records: deque[ConsumerRecord]) -> deque[ConsumerRecord]:
        """Takes them in their order; left are the first that finds no slot, and those behind it."""
        while records and self._take(records[0]):
            records.popleft()
        return records

    def _take(self, record: ConsumerRecord) -> bool:
        """Starts what the record asks for; false where that needs a slot and none is free."""
        dispatched = self._dispatched_by(record)
        if dispatched and self._runs.wants(dispatched):
            if not self._runs.has_slot(dispatched):
                return False
            partition, offset = record.partition, record.offset
            self._offsets.open(partition, offset)
            self._runs.start(dispatched, decided=lambda: self._offsets.close(partition, offset))
        self._offsets.read(record.partition, record.offset)
        return True

    def _dispatched_by(self, record: ConsumerRecord) -> Dispatched | None:
        try:
            return of_record(record.partition, record.offset, record.value)
        except NotAnEventError as error:
            metrics.POISON.add(1)
            log.warning(
                "intake: partition %d offset %d is no event: %s",
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
        positions = self._offsets.to_commit()
        if not positions:
            return
        topic = self._settings.events_topic
        try:
            await self._consumer.commit(
                {TopicPartition(topic, partition): at for partition, at in positions.items()}
            )
        except KafkaError as error:
            # Such as after a rebalance: whoever reads the records again is refused or granted.
            log.info("intake: not committed: %r", error)
        else:
            self._offsets.commit(positions)
