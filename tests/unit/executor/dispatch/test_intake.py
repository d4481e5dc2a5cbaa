"""How the intake uses its consumer, in cases that the embedded broker can't produce."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, NodeNotReadyError
from aiokafka.structs import OffsetAndTimestamp

from fabric_jobs.contract import events
from fabric_jobs.executor import ExecutorSettings
from fabric_jobs.executor.dispatch import intake
from fabric_jobs.executor.dispatch.intake import Intake
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from tests.support.fake_consumer import FakeConsumer, FakeRuns
from tests.support.fake_facade import (
    JOB_TYPE,
    WAIT_TIMEOUT_S,
    requested_event,
    started_record,
)

A, B, C, D, R, BEHIND = (str(uuid.UUID(int=number)) for number in range(1, 7))
SETTINGS = ExecutorSettings(events_topic="topic")
ZERO, ONE, TWO = (TopicPartition("topic", partition) for partition in range(3))


def dispatch_records(*job_ids: str, job_type: str = JOB_TYPE) -> list[bytes]:
    """Returns one record for each job, which dispatches its first attempt."""
    return [events.encode(requested_event(job_id, job_type=job_type)) for job_id in job_ids]


def waiting_jobs(runs: FakeRuns) -> list[str]:
    """Returns the ids of the jobs in the ready queue, in the order of reading."""
    return [waiting.dispatched.job_id for waiting in runs.ready]


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """The consumer that the intake gets. The pool has committed offset 0 of two partitions."""
    consumer = FakeConsumer({ZERO: 0, ONE: 0})
    monkeypatch.setattr(intake, "make_consumer", lambda settings, executor_id: consumer)
    monkeypatch.setattr(intake, "POLL_MS", 10)
    monkeypatch.setattr(intake, "COMMIT_INTERVAL_S", 0.01)
    return consumer


@asynccontextmanager
async def consume(
    consumer: FakeConsumer,
    runs: FakeRuns,
    assigned: Iterable[TopicPartition] = (ZERO,),
    settings: ExecutorSettings = SETTINGS,
) -> AsyncIterator[asyncio.Task[None]]:
    """Runs an intake with these partitions until the block ends."""
    taking = Intake(settings, "one", runs, runs.ready)  # type: ignore[arg-type] # FakeRuns
    task = asyncio.create_task(taking.consume())
    await consumer.wait_until(lambda: consumer.listener)
    await consumer.rebalance(*assigned)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_intake_of_a_pool_without_commits_starts_one_start_deadline_back(
    consumer: FakeConsumer,
) -> None:
    """It seeks the first record since then, or else the end. A committed partition stays."""
    consumer.committed_offsets = {ZERO: 7}
    consumer.offsets_by_time = {ONE: OffsetAndTimestamp(40, 0), TWO: None}
    async with consume(consumer, FakeRuns(1), (ZERO, ONE, TWO)):
        assert consumer.sought == {ONE: 40, TWO: 100}


async def test_intake_pauses_all_partitions_only_while_the_ready_queue_is_full(
    consumer: FakeConsumer,
) -> None:
    """It reads ahead without a free slot. Polls go on while it is paused."""
    runs = FakeRuns(0, max_jobs=3)
    consumer.records = {ZERO: dispatch_records(A), ONE: dispatch_records(B)}
    async with consume(consumer, runs, (ZERO, ONE)):
        await consumer.wait_until(lambda: len(runs.ready) == 2)
        await consumer.wait_for_polls(2)
        assert not consumer.paused
        consumer.records[ZERO] += dispatch_records(C)
        await consumer.wait_until(lambda: consumer.paused == {ZERO, ONE})
        consumer.records[ONE] += dispatch_records(D)
        await consumer.wait_for_polls(3)
        assert len(runs.ready) == 3
        runs.free_slot()
        await consumer.wait_until(lambda: D in [*runs.decide, *waiting_jobs(runs)])
        for _ in range(3):
            runs.free_slot()
        await consumer.wait_until(lambda: not consumer.paused)

    assert sorted(runs.decide) == [A, B, C, D]


async def test_intake_pauses_while_the_waiting_payloads_have_reached_their_bytes(
    consumer: FakeConsumer,
) -> None:
    """The bound of jobs is not reached."""
    runs = FakeRuns(0, max_bytes=4)
    consumer.records = {ZERO: dispatch_records(A, B, C)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: consumer.paused == {ZERO})
        assert len(runs.ready) == 3
        for _ in range(2):
            runs.free_slot()
        await consumer.wait_until(lambda: not consumer.paused)


async def test_intake_with_a_full_job_type_starts_other_types_behind_it_on_its_partition(
    consumer: FakeConsumer,
) -> None:
    """No partition is paused. The waiting record is not committed before its claim is decided."""
    runs = FakeRuns(9)
    runs.full_types = {"rare"}
    consumer.records = {
        ZERO: [*dispatch_records(R, job_type="rare"), *dispatch_records(BEHIND)],
        ONE: dispatch_records(A),
    }
    async with consume(consumer, runs, (ZERO, ONE)):
        await consumer.wait_until(lambda: len(runs.decide) == 2)
        assert sorted(runs.decide) == [A, BEHIND]
        for decide in runs.decide.values():
            decide()
        await consumer.wait_until(lambda: consumer.commits and ONE in consumer.commits[-1])
        await consumer.wait_for_polls(2)
        assert not consumer.paused
        assert all(commit.get(ZERO, 0) == 0 for commit in consumer.commits)
        runs.full_types.clear()
        runs.free_slot()
        runs.decide[R]()
        await consumer.wait_until(lambda: consumer.commits[-1].get(ZERO) == 2)


async def test_intake_after_a_rebalance_forgets_the_waiting_records_of_lost_partitions(
    consumer: FakeConsumer,
) -> None:
    """If the partition comes back, its records are read again, and wait again."""
    runs = FakeRuns(1)
    consumer.records = {ZERO: dispatch_records(A, B), ONE: dispatch_records(C)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: waiting_jobs(runs) == [B])
        await consumer.rebalance(ONE)
        await consumer.wait_until(lambda: waiting_jobs(runs) == [C])
        runs.free_slot()
        assert list(runs.decide) == [A, C]
        consumer.positions.clear()
        await consumer.rebalance(ZERO, ONE)
        await consumer.wait_until(lambda: waiting_jobs(runs) == [B])
        runs.free_slot()

    assert list(runs.decide) == [A, C, B]


async def test_intake_whose_lost_partition_comes_back_commits_past_what_another_claimed(
    consumer: FakeConsumer,
) -> None:
    """A record that waited before the rebalance does not hold the position back for ever."""
    runs = FakeRuns(0)
    consumer.records = {ZERO: dispatch_records(A)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: waiting_jobs(runs) == [A])
        await consumer.rebalance()
        consumer.records[ZERO].append(b"no event")
        consumer.positions[ZERO] = 1
        await consumer.rebalance(ZERO)
        await consumer.wait_until(lambda: consumer.commits and consumer.commits[-1] == {ZERO: 2})


async def test_intake_with_a_full_queue_after_a_rebalance_pauses_the_new_partitions(
    consumer: FakeConsumer,
) -> None:
    """The new assignment is not paused, so it is read until the queue is full again."""
    runs = FakeRuns(0, max_jobs=1)
    consumer.records = {ZERO: dispatch_records(A), ONE: dispatch_records(B, C)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: consumer.paused == {ZERO})
        await consumer.rebalance(ONE, TWO)
        await consumer.wait_until(lambda: consumer.paused == {ONE, TWO})
        assert waiting_jobs(runs) == [B]


async def test_intake_that_reads_a_later_event_of_a_waiting_job_forgets_its_attempt(
    consumer: FakeConsumer,
) -> None:
    """The attempt was started elsewhere, or the job is over. Its record counts as decided."""
    runs = FakeRuns(0)
    consumer.records = {ZERO: dispatch_records(A, B)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: waiting_jobs(runs) == [A, B])
        consumer.records[ZERO].append(started_record(A))
        await consumer.wait_until(lambda: waiting_jobs(runs) == [B])
        await consumer.wait_until(lambda: consumer.commits and consumer.commits[-1] == {ZERO: 1})


async def test_intake_chooses_among_all_records_of_a_poll(consumer: FakeConsumer) -> None:
    """An attempt that was started elsewhere is not claimed if the same poll says so."""
    runs = FakeRuns(9)
    consumer.records = {ZERO: [*dispatch_records(A, B), started_record(A)]}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: runs.decide)

    assert list(runs.decide) == [B]


async def test_intake_whose_slot_is_taken_during_a_poll_keeps_the_record(
    consumer: FakeConsumer,
) -> None:
    """The record waits for the next slot, and the records before it are committed."""
    runs = FakeRuns(2)
    consumer.records = {ZERO: [b"no event", *dispatch_records(A)]}

    def take_both_slots() -> None:
        if runs.free_slots == 2 and consumer.assigned:
            runs.free_slots = 0

    consumer.before_poll = take_both_slots
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: consumer.commits == [{ZERO: 1}])
        runs.free_slot()
        assert list(runs.decide) == [A]


async def test_intake_commits_records_as_their_claims_are_decided(consumer: FakeConsumer) -> None:
    """It commits once more when it stops."""
    runs = FakeRuns(9)
    consumer.records = {ZERO: dispatch_records(A, B)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: len(runs.decide) == 2)
        await consumer.wait_until(lambda: consumer.commits == [{ZERO: 0}])
        runs.decide[A]()
        await consumer.wait_until(lambda: consumer.commits and consumer.commits[-1] == {ZERO: 1})
        runs.decide[B]()

    assert consumer.commits[-1] == {ZERO: 2}


async def test_intake_that_reads_a_record_again_after_a_rebalance_starts_no_second_run(
    consumer: FakeConsumer,
) -> None:
    """The record is still not committed before its claim is decided."""
    runs = FakeRuns(2)
    consumer.records = {ZERO: dispatch_records(A)}
    async with consume(consumer, runs):
        await consumer.wait_until(lambda: runs.decide)
        consumer.positions.clear()
        await consumer.rebalance(ZERO)
        await consumer.wait_until(lambda: consumer.positions.get(ZERO) == 1)
        await consumer.wait_until(lambda: consumer.commits)
        assert runs.free_slots == 1
        assert all(commit == {ZERO: 0} for commit in consumer.commits)
        runs.decide[A]()
        await consumer.wait_until(lambda: consumer.commits and consumer.commits[-1] == {ZERO: 1})


async def test_intake_whose_commit_fails_with_a_kafka_error_commits_again(
    consumer: FakeConsumer,
) -> None:
    """A commit can fail after a rebalance, for example. The intake goes on."""
    consumer.records = {ZERO: [b"no event"]}
    consumer.commit_error = CommitFailedError()
    async with consume(consumer, FakeRuns(2)):
        await consumer.wait_until(lambda: len(consumer.commits) == 3)
        consumer.commit_error = None
        await consumer.wait_until(lambda: len(consumer.commits) == 4)

    assert consumer.commits == [{ZERO: 1}] * 4


async def test_intake_whose_commit_fails_by_a_defect_ends_with_the_error(
    consumer: FakeConsumer,
) -> None:
    """It is then restarted. Otherwise it would read on without ever committing."""
    consumer.records = {ZERO: [b"no event"]}
    consumer.commit_error = ValueError("a defect")
    async with consume(consumer, FakeRuns(2)) as task:
        await asyncio.wait({task}, timeout=WAIT_TIMEOUT_S)

    assert isinstance(task.exception(), ValueError)


async def test_intake_without_a_reachable_broker_raises_what_to_do() -> None:
    """The error names the address and the setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    settings = ExecutorSettings(events_topic="topic", kafka_bootstrap_servers=address)
    runs = FakeRuns(1)
    taking = Intake(settings, "one", runs, runs.ready)  # type: ignore[arg-type] # FakeRuns
    with pytest.raises(ConnectionError) as raised:
        await taking.consume()

    assert str(raised.value).startswith(f"Kafka can't be reached at {address}: ")
    assert str(raised.value).endswith("Start it, or set FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS.")


async def test_intake_cancelled_while_brokers_are_away_ends_as_cancelled(
    consumer: FakeConsumer,
) -> None:
    """If it raised the broker's error instead, it would be restarted, and a drain would hang."""
    consumer.stop_error = NodeNotReadyError("away")
    async with consume(consumer, FakeRuns(2)) as task:
        await consumer.wait_for_polls(1)

    assert task.cancelled()


async def test_intake_whose_name_is_another_executor_s_too_ends_with_what_to_set(
    consumer: FakeConsumer,
) -> None:
    """Each of the two joins the group again and again, under a new member id each time."""
    settings = ExecutorSettings(events_topic="topic", executor_name="same")
    async with consume(consumer, FakeRuns(1), settings=settings) as task, asyncio.timeout(10):
        for number in range(20):
            consumer._coordinator.member_id = f"same-{number}"
            await consumer.rebalance(ZERO)
        with pytest.raises(KafkaRefusedError, match="FABRIC_JOBS_EXECUTOR_NAME"):
            await task
