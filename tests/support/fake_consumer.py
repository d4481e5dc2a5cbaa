"""A Kafka consumer and runs without a session, for the tests of the intake."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndTimestamp

from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue, WaitingAttempt
from tests.support.fake_facade import WAIT_TIMEOUT_S
from tests.support.records import key_of


class FakeRuns:
    """Runs whose claims and ends a test decides, with a ready queue of their own."""

    def __init__(self, slots: int, max_jobs: int = 100, max_bytes: int = 1_000_000) -> None:
        self.ready = ReadyQueue(max_jobs, max_bytes)
        self.free_slots = slots
        #: The job types that have no free slot of their own.
        self.full_types: set[str] = set()
        #: By job id, in the order of their start: the callback that decides the claim of the run.
        self.decide: dict[str, Callable[[], None]] = {}
        self._slot_freed = asyncio.Event()

    def wants(self, dispatched: DispatchedAttempt) -> bool:
        """Returns true unless the job waits or was started before."""
        return dispatched.job_id not in self.decide and dispatched.event_id not in self.ready

    def put(
        self,
        dispatched: DispatchedAttempt,
        dispatched_at: datetime,
        on_decided: Callable[[], None],
    ) -> None:
        """Puts the attempt into the queue."""
        waiting = WaitingAttempt(
            dispatched=dispatched, dispatched_at=dispatched_at, priority=5, on_decided=on_decided
        )
        self.ready.put(waiting)

    def start_ready(self) -> None:
        """Starts what has a slot."""
        while self.free_slots > 0 and (
            waiting := self.ready.take(
                datetime.now(UTC), lambda handler_key: handler_key[1] not in self.full_types
            )
        ):
            self.free_slots -= 1
            self.decide[waiting.dispatched.job_id] = waiting.on_decided

    def free_slot(self) -> None:
        """Ends a run."""
        self.free_slots += 1
        self.start_ready()
        freed, self._slot_freed = self._slot_freed, asyncio.Event()
        freed.set()

    async def wait_for_freed_slot(self) -> None:
        """Waits until the next run ends."""
        await self._slot_freed.wait()


class FakeConsumer:
    """A consumer whose partitions, records and offsets a test sets. It mimics aiokafka's."""

    def __init__(self, committed_offsets: dict[TopicPartition, int]) -> None:
        self.committed_offsets = committed_offsets
        self.assigned: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.records: dict[TopicPartition, list[bytes]] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []
        self.commit_error: Exception | None = None
        self.stop_error: Exception | None = None
        #: By partition, the offset of the last `seek`.
        self.sought: dict[TopicPartition, int] = {}
        #: By partition, what `offsets_for_times` finds.
        self.offsets_by_time: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        self.listener: Any = None
        self.polls = 0
        #: Cleared by a test in which polls must find no record and wait.
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.before_poll: Callable[[], None] = lambda: None
        self._polled = asyncio.Condition()
        # The two parts of aiokafka's consumer that the product uses: metadata and membership.
        self._client = SimpleNamespace(_metadata_update=None, _conns={})
        self._coordinator = SimpleNamespace(member_id="")

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None: ...

    async def stop(self) -> None:
        if self.stop_error:
            raise self.stop_error

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = self.sought[partition] = offset

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.committed_offsets.get(partition)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 100)

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        return {partition: self.offsets_by_time.get(partition) for partition in times}

    async def commit(self, positions: dict[TopicPartition, int]) -> None:
        self.commits.append(positions)
        if self.commit_error:
            raise self.commit_error

    async def getmany(
        self, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.before_poll()
        found = {}
        for partition in self.assigned - self.paused:
            begin = self.positions.get(partition, 0)
            values = self.records.get(partition, [])[begin : begin + max_records]
            self.positions[partition] = begin + len(values)
            found[partition] = [
                _make_record(partition, begin + index, value) for index, value in enumerate(values)
            ]
        async with self._polled:
            self.polls += 1
            self._polled.notify_all()
        await asyncio.sleep(0.001)
        await self.may_answer.wait()
        return found

    async def rebalance(self, *partitions: TopicPartition) -> None:
        """Replaces the assignment. As in aiokafka, no partition is paused afterwards."""
        await self.listener.on_partitions_revoked(self.assigned)
        self.assigned, self.paused = set(partitions), set()
        await self.listener.on_partitions_assigned(self.assigned)

    async def wait_for_polls(self, number: int) -> None:
        """Waits for this many further polls."""
        target = self.polls + number
        await self.wait_until(lambda: self.polls >= target)

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Waits until the condition is true. It is checked at each poll."""
        async with asyncio.timeout(WAIT_TIMEOUT_S), self._polled:
            await self._polled.wait_for(lambda: bool(condition()))


def _make_record(partition: TopicPartition, offset: int, value: bytes) -> ConsumerRecord:
    key = key_of(value)
    return ConsumerRecord(*partition, offset, 0, 0, key, value, None, 0, len(value), headers=())
