"""The intake's dealings with its consumer, where the embedded broker can't show them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndTimestamp

from executor import ExecutorSettings, intake
from executor.dispatches import Dispatched
from executor.intake import Intake
from fabric_jobs import events
from tests.unit.executor.fakes import PATIENCE_S, requested

SETTINGS = ExecutorSettings(events_topic="topic")
ZERO, ONE, TWO = (TopicPartition("topic", partition) for partition in range(3))


class FakeRuns:
    """Runs without sessions: the test decides their claims and their ends."""

    def __init__(self, slots: int) -> None:
        self.free_slots = slots
        self.decide: dict[str, Callable[[], None]] = {}
        self.freed = asyncio.Event()

    def wants(self, dispatched: Dispatched) -> bool:
        """All that it does not hold."""
        return dispatched.job_id not in self.decide

    def start(self, dispatched: Dispatched, decided: Callable[[], None]) -> None:
        """Takes a slot."""
        self.free_slots -= 1
        self.decide[dispatched.job_id] = decided

    def free(self) -> None:
        """A run has ended."""
        self.free_slots += 1
        self.freed.set()

    async def wait_free(self) -> None:
        """Waits for that."""
        await self.freed.wait()


class FakeConsumer:
    """A consumer whose partitions, records and offsets the test sets."""

    def __init__(self) -> None:
        self.assigned: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.records: dict[TopicPartition, list[bytes]] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []
        self.commit_error: KafkaError | None = None
        self.committed_offsets = {ZERO: 0, ONE: 0}
        self.begun_at: dict[TopicPartition, int] = {}
        self.by_time: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        self.listener: Any = None
        self.polled = asyncio.Condition()
        self.before_poll: Callable[[], None] = lambda: None

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = self.begun_at[partition] = offset

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.committed_offsets.get(partition)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 100)

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        return {partition: self.by_time.get(partition) for partition in times}

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
                _record(partition, begin + index, value) for index, value in enumerate(values)
            ]
        async with self.polled:
            self.polled.notify_all()
        await asyncio.sleep(0.001)
        return found

    async def assign(self, *partitions: TopicPartition) -> None:
        """A rebalance; like aiokafka's it forgets what was paused."""
        await self.listener.on_partitions_revoked(self.assigned)
        self.assigned, self.paused = set(partitions), set()
        await self.listener.on_partitions_assigned(self.assigned)

    async def until(self, fact: Callable[[], object]) -> None:
        """Waits until the fact holds after a poll."""
        async with asyncio.timeout(PATIENCE_S), self.polled:
            await self.polled.wait_for(lambda: bool(fact()))


def _record(partition: TopicPartition, offset: int, value: bytes) -> ConsumerRecord:
    return ConsumerRecord(*partition, offset, 0, 0, None, value, None, 0, len(value), headers=())


def jobs(*job_ids: str) -> list[bytes]:
    """Records that dispatch these jobs."""
    return [events.encode(requested(job_id)) for job_id in job_ids]


@asynccontextmanager
async def consuming(
    monkeypatch: pytest.MonkeyPatch,
    consumer: FakeConsumer,
    runs: FakeRuns,
    assigned: Iterable[TopicPartition] = (ZERO,),
) -> AsyncIterator[None]:
    """The intake, on this consumer."""
    monkeypatch.setattr(Intake, "_make_consumer", lambda self: consumer)
    monkeypatch.setattr(intake, "POLL_MS", 10)
    monkeypatch.setattr(intake, "COMMIT_INTERVAL_S", 0.01)
    taking = Intake(SETTINGS, "one", runs)  # type: ignore[arg-type] # FakeRuns
    reading = asyncio.create_task(taking.consume())
    await consumer.until(lambda: consumer.listener)
    await consumer.assign(*assigned)
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait({reading})


async def test_a_pool_without_commits_begins_one_start_deadline_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the first record since then, at the end where there is none; a commit is kept to."""
    consumer = FakeConsumer()
    consumer.committed_offsets = {ZERO: 7}
    consumer.by_time = {ONE: OffsetAndTimestamp(40, 0), TWO: None}
    async with consuming(monkeypatch, consumer, FakeRuns(1), (ZERO, ONE, TWO)):
        assert consumer.begun_at == {ONE: 40, TWO: 100}


async def test_full_slots_pause_the_partitions_and_a_free_one_resumes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Polls go on meanwhile, and a rebalance does not end the pause."""
    consumer, runs = FakeConsumer(), FakeRuns(1)
    consumer.records = {ZERO: jobs("a", "b"), ONE: jobs("c")}
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: consumer.paused == {ZERO})
        await consumer.assign(ZERO, ONE)
        assert consumer.paused == {ZERO, ONE}
        assert set(runs.decide) == {"a"}
        runs.free()
        await consumer.until(lambda: len(runs.decide) == 2)


async def test_a_record_whose_slot_was_taken_since_the_poll_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not lost, and what was read before it is committed."""
    consumer, runs = FakeConsumer(), FakeRuns(2)
    consumer.records = {ZERO: [b"no event", *jobs("a")]}

    def offer_takes_both() -> None:
        if runs.free_slots == 2 and consumer.assigned:
            runs.free_slots = 0

    consumer.before_poll = offer_takes_both
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: consumer.begun_at == {ZERO: 1})
        await consumer.until(lambda: consumer.commits == [{ZERO: 1}])
        runs.free()
        await consumer.until(lambda: "a" in runs.decide)


async def test_claims_are_committed_as_they_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the stop too."""
    consumer, runs = FakeConsumer(), FakeRuns(9)
    consumer.records = {ZERO: jobs("a", "b")}
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: len(runs.decide) == 2)
        await consumer.until(lambda: consumer.commits == [{ZERO: 0}])
        runs.decide["a"]()
        await consumer.until(lambda: consumer.commits[-1] == {ZERO: 1})
        runs.decide["b"]()

    assert consumer.commits[-1] == {ZERO: 2}


async def test_a_record_read_again_after_a_rebalance_starts_nothing_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is not committed before its claim is decided."""
    consumer, runs = FakeConsumer(), FakeRuns(2)
    consumer.records = {ZERO: jobs("a")}
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: runs.decide)
        consumer.positions.clear()
        await consumer.assign(ZERO)
        await consumer.until(lambda: consumer.positions.get(ZERO) == 1)
        await consumer.until(lambda: consumer.commits)
        assert runs.free_slots == 1
        assert all(commit == {ZERO: 0} for commit in consumer.commits)
        runs.decide["a"]()
        await consumer.until(lambda: consumer.commits[-1] == {ZERO: 1})


async def test_a_commit_that_fails_is_tried_again_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a rebalance."""
    consumer, runs = FakeConsumer(), FakeRuns(2)
    consumer.records = {ZERO: [b"no event"]}
    consumer.commit_error = CommitFailedError()
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: len(consumer.commits) == 3)
        consumer.commit_error = None
        await consumer.until(lambda: len(consumer.commits) == 4)

    assert consumer.commits == [{ZERO: 1}] * 4
