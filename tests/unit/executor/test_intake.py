"""The intake's dealings with its consumer, where the embedded broker can't show them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, NodeNotReadyError
from aiokafka.structs import ConsumerRecord, OffsetAndTimestamp

from fabric_jobs.contract import events
from fabric_jobs.executor import ExecutorSettings, intake
from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.executor.intake import Intake
from tests.support.fake_facade import JOB_TYPE, PATIENCE_S, requested

SETTINGS = ExecutorSettings(events_topic="topic")
ZERO, ONE, TWO = (TopicPartition("topic", partition) for partition in range(3))


class FakeRuns:
    """Runs without sessions: the test decides their claims and their ends."""

    def __init__(self, slots: int) -> None:
        self.free_slots = slots
        self.full: set[str] = set()
        self.decide: dict[str, Callable[[], None]] = {}
        self._freed = asyncio.Event()

    def wants(self, dispatched: Dispatched) -> bool:
        """All that it does not hold."""
        return dispatched.job_id not in self.decide

    def has_slot(self, dispatched: Dispatched) -> bool:
        """Unless the process is full, or the job's type."""
        return self.free_slots > 0 and dispatched.job_type not in self.full

    def start(self, dispatched: Dispatched, decided: Callable[[], None]) -> None:
        """Takes a slot."""
        self.free_slots -= 1
        self.decide[dispatched.job_id] = decided

    def free(self, slots: int = 1) -> None:
        """A run has ended."""
        self.free_slots += slots
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    async def freed(self) -> None:
        """Waits for that."""
        await self._freed.wait()


class FakeConsumer:
    """A consumer whose partitions, records and offsets the test sets."""

    def __init__(self) -> None:
        self.assigned: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.records: dict[TopicPartition, list[bytes]] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []
        self.commit_error: Exception | None = None
        self.stop_error: Exception | None = None
        self.committed_offsets = {ZERO: 0, ONE: 0}
        self.begun_at: dict[TopicPartition, int] = {}
        self.by_time: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        self.listener: Any = None
        self.polled = asyncio.Condition()
        self.polls = 0
        #: Set unless polls are to find nothing, and wait.
        self.answers = asyncio.Event()
        self.answers.set()
        self.before_poll: Callable[[], None] = lambda: None

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
            self.polls += 1
            self.polled.notify_all()
        await asyncio.sleep(0.001)
        await self.answers.wait()
        return found

    async def assign(self, *partitions: TopicPartition) -> None:
        """A rebalance; like aiokafka's it forgets what was paused."""
        await self.listener.on_partitions_revoked(self.assigned)
        self.assigned, self.paused = set(partitions), set()
        await self.listener.on_partitions_assigned(self.assigned)

    async def until_polls(self, number: int) -> None:
        """Waits for that many more polls."""
        already = self.polls
        await self.until(lambda: self.polls >= already + number)

    async def until(self, fact: Callable[[], object]) -> None:
        """Waits until the fact holds after a poll."""
        async with asyncio.timeout(PATIENCE_S), self.polled:
            await self.polled.wait_for(lambda: bool(fact()))


def _record(partition: TopicPartition, offset: int, value: bytes) -> ConsumerRecord:
    return ConsumerRecord(*partition, offset, 0, 0, None, value, None, 0, len(value), headers=())


def jobs(*job_ids: str, job_type: str = JOB_TYPE) -> list[bytes]:
    """Records that dispatch these jobs."""
    return [events.encode(requested(job_id, job_type=job_type)) for job_id in job_ids]


@asynccontextmanager
async def consuming(
    monkeypatch: pytest.MonkeyPatch,
    consumer: FakeConsumer,
    runs: FakeRuns,
    assigned: Iterable[TopicPartition] = (ZERO,),
) -> AsyncIterator[asyncio.Task[None]]:
    """The intake, on this consumer."""
    monkeypatch.setattr(Intake, "_make_consumer", lambda self: consumer)
    monkeypatch.setattr(intake, "POLL_MS", 10)
    monkeypatch.setattr(intake, "COMMIT_INTERVAL_S", 0.01)
    taking = Intake(SETTINGS, "one", runs)  # type: ignore[arg-type] # FakeRuns
    reading = asyncio.create_task(taking.consume())
    await consumer.until(lambda: consumer.listener)
    await consumer.assign(*assigned)
    try:
        yield reading
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
    """Polls go on meanwhile; what waits is taken in its order."""
    consumer, runs = FakeConsumer(), FakeRuns(1)
    consumer.records = {ZERO: jobs("a1", "a2"), ONE: jobs("b1", "b2")}
    async with consuming(monkeypatch, consumer, runs, (ZERO, ONE)):
        await consumer.until(lambda: consumer.paused == {ZERO, ONE})
        await consumer.until_polls(3)
        for taken in (1, 2, 3):
            assert len(runs.decide) == taken
            runs.free()
            await consumer.until(lambda: len(runs.decide) > taken)  # noqa: B023 - awaited here
        await consumer.until(lambda: not consumer.paused)

    started = list(runs.decide)
    assert started.index("a1") < started.index("a2")
    assert started.index("b1") < started.index("b2")


async def test_a_type_that_is_full_pauses_only_the_partitions_that_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others go on; what waits is not passed, and is taken before what lies behind it."""
    consumer, runs = FakeConsumer(), FakeRuns(9)
    runs.full = {"rare"}
    consumer.records = {ZERO: [*jobs("r", job_type="rare"), *jobs("behind")], ONE: jobs("a")}
    async with consuming(monkeypatch, consumer, runs, (ZERO, ONE)):
        await consumer.until(lambda: "a" in runs.decide)
        await consumer.until(lambda: consumer.paused == {ZERO})
        consumer.records[ONE] += jobs("b")
        await consumer.until(lambda: "b" in runs.decide)
        assert list(runs.decide) == ["a", "b"]
        for decided in runs.decide.values():
            decided()
        await consumer.until(lambda: consumer.commits and ONE in consumer.commits[-1])
        assert all(ZERO not in commit for commit in consumer.commits)
        runs.full.clear()
        runs.free()
        await consumer.until(lambda: not consumer.paused)

    assert list(runs.decide) == ["a", "b", "r", "behind"]


async def test_a_slot_that_is_freed_during_a_poll_is_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poll may wait long for other records."""
    consumer, runs = FakeConsumer(), FakeRuns(9)
    runs.full = {"rare"}
    consumer.records = {ZERO: jobs("r", job_type="rare")}
    async with consuming(monkeypatch, consumer, runs), asyncio.timeout(PATIENCE_S):
        await consumer.until(lambda: consumer.paused == {ZERO})
        consumer.answers.clear()
        runs.full.clear()
        runs.free()
        while "r" not in runs.decide:
            await asyncio.sleep(0)


async def test_what_waits_is_forgotten_with_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another's by now; one that comes back is read again, and waits again."""
    consumer, runs = FakeConsumer(), FakeRuns(1)
    consumer.records = {ZERO: jobs("a", "b"), ONE: jobs("c")}
    async with consuming(monkeypatch, consumer, runs):
        await consumer.until(lambda: consumer.paused == {ZERO})
        await consumer.assign(ONE)
        await consumer.until(lambda: consumer.paused == {ONE})
        runs.free()
        await consumer.until(lambda: "c" in runs.decide)
        consumer.positions.clear()
        await consumer.assign(ZERO, ONE)
        await consumer.until(lambda: consumer.paused == {ZERO})
        runs.free()
        await consumer.until(lambda: "b" in runs.decide)

    assert list(runs.decide) == ["a", "c", "b"]


async def test_a_record_whose_slot_was_taken_since_the_poll_waits_for_the_next(
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


async def test_commits_that_end_by_a_defect_end_the_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is begun again; else it would read on and never commit."""
    consumer = FakeConsumer()
    consumer.records = {ZERO: [b"no event"]}
    consumer.commit_error = ValueError("a defect")
    async with consuming(monkeypatch, consumer, FakeRuns(2)) as reading:
        await asyncio.wait({reading}, timeout=PATIENCE_S)

    assert isinstance(reading.exception(), ValueError)


async def test_an_intake_that_can_t_leave_the_brokers_in_order_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error in place of its cancel would have it begun again, and the drain wait for it."""
    consumer = FakeConsumer()
    consumer.stop_error = NodeNotReadyError("away")
    async with consuming(monkeypatch, consumer, FakeRuns(2)) as reading:
        await consumer.until_polls(1)

    assert reading.cancelled()
