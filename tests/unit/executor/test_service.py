"""A whole executor, with the embedded broker and a fake facade."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.executor import (
    Executor,
    ExecutorSettings,
    Job,
    LifespanError,
    NoHandlersError,
)
from fabric_jobs.executor.dispatch import intake
from fabric_jobs.executor.runs import runs as runs_module
from fabric_jobs.runtime.kafka.brokers import BROKERS, EMBEDDED
from fabric_jobs.runtime.settings import SettingsError
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.executor_runs import quick
from tests.support.fake_facade import (
    ITEM_TYPE,
    JOB_TYPE,
    FakeFacade,
    accept,
    requested_event,
    started_record,
)
from tests.support.records import key_of

A, B, C, X, OTHER = (str(UUID(int=number)) for number in range(1, 6))


@pytest.fixture
async def settings(embedded: Cluster, topic: str, facade: FakeFacade) -> ExecutorSettings:
    """The settings of an executor with a topic and a pool of its own."""
    return ExecutorSettings(
        kafka_bootstrap_servers=embedded.bootstrap_servers,
        kafka_broker="embedded",
        events_topic=topic,
        facades=facade.address,
        pool=f"pool-{uuid4()}",
        slots=1,
        heartbeat_s=0.05,
        drain_s=5,
    )


async def append(settings: ExecutorSettings, *values: bytes) -> None:
    """Appends records to partition 0 of the topic."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        for value in values:
            await producer.send_and_wait(settings.events_topic, value, key_of(value), partition=0)


async def read_committed(settings: ExecutorSettings) -> int | None:
    """Returns the position that the pool has committed in partition 0."""
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.pool,
        enable_auto_commit=False,
    ) as consumer:
        position: int | None = await consumer.committed(TopicPartition(settings.events_topic, 0))
        return position


@asynccontextmanager
async def serve_jobs(executor: Executor[Any], settings: ExecutorSettings) -> AsyncIterator[str]:
    """Runs the executor until the block ends. Yields its id once it is ready."""
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(executor.serve(settings, stop=stop, on_ready=ready.set_result))
        yield await ready
        stop.set()


def dispatch_record(job_id: str, item_type: str = ITEM_TYPE) -> bytes:
    """Returns a record that dispatches the first attempt of a job."""
    return events.encode(requested_event(job_id, item_type=item_type))


async def test_executor_with_one_slot_claims_the_dispatches_of_its_job_types_in_turn(
    settings: ExecutorSettings, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other records are skipped. Every record is committed once its claim is decided."""
    monkeypatch.setattr(intake, "POLL_MS", 50)
    executor = Executor()
    running: set[str] = set()
    may_end = asyncio.Event()

    @executor.job(ITEM_TYPE, JOB_TYPE, priority=9)
    async def handler(job: Job[Any]) -> None:
        assert not running
        running.add(job.job_id)
        await may_end.wait()
        running.clear()

    await append(
        settings,
        b"\xff no event",
        dispatch_record(OTHER, "Other.Item"),
        started_record(X),
        dispatch_record(A),
        dispatch_record(B),
        dispatch_record(C),
    )
    named = replace(settings, executor_name="worker-0")
    async with serve_jobs(executor, named) as executor_id:
        await facade.wait_until(lambda: facade.claims)
        # In this time of 0.5 s the intake polls several times, and pauses its partition.
        await facade.wait_for_heartbeats(10)
        assert [claim.job_id for claim in facade.claims] == [A]
        may_end.set()
        await facade.wait_until(lambda: len(facade.reports) == 3)

    assert [claim.job_id for claim in facade.claims] == [A, B, C]
    assert [claim.record.offset for claim in facade.claims] == [3, 4, 5]
    assert facade.requests[0].hello == pb.Hello(
        executor_id=executor_id,
        pool=settings.pool,
        job_types=[pb.JobType(item_type=ITEM_TYPE, job_type=JOB_TYPE, priority=9)],
        slots=1,
        version=f"fabric-jobs {version('fabric-jobs')}",
    )
    assert UUID(executor_id.removeprefix("worker-0-"))
    assert await read_committed(settings) == 6


async def test_executor_after_one_that_stopped_with_an_undecided_claim_claims_that_record(
    settings: ExecutorSettings, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was not committed, although a later one was read. Decided claims stay decided."""
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", 0.1)
    # After a member has left, the embedded broker delays the next join by the session timeout.
    monkeypatch.setitem(BROKERS, "embedded", replace(EMBEDDED, session_timeout_ms=2_000))
    executor = Executor()

    @executor.job(ITEM_TYPE, JOB_TYPE)
    def handler(job: Job[Any]) -> None: ...

    facade.script = lambda claim: None if claim.job_id == B else accept(claim)
    await append(settings, dispatch_record(A), dispatch_record(B), started_record(B))
    impatient = replace(settings, drain_s=0.0, slots=2)
    async with serve_jobs(executor, impatient):
        await facade.wait_until(lambda: {claim.job_id for claim in facade.claims} == {A, B})
        await facade.wait_until(lambda: facade.reports)
    assert await read_committed(settings) == 1

    facade.script = accept
    async with serve_jobs(executor, replace(settings, slots=2)):
        await facade.wait_until(lambda: len(facade.reports) == 2)

    assert [report.job_id for report in facade.reports] == [A, B]
    assert await read_committed(settings) == 3


async def test_executor_that_stops_reports_no_free_slots_before_it_has_left_the_group(
    settings: ExecutorSettings, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To leave the group may take long, and no facade should offer a job meanwhile."""
    executor = Executor()
    executor.job(ITEM_TYPE, JOB_TYPE)(quick)
    monkeypatch.setattr(intake, "STOP_TIMEOUT_S", 60)
    reported = asyncio.Event()
    leave = AIOKafkaConsumer.stop

    async def leave_late(consumer: AIOKafkaConsumer) -> None:
        await reported.wait()
        await leave(consumer)

    async def wait_for_report() -> None:
        await facade.wait_until(lambda: facade.heartbeats[-1].free_slots == 0)
        reported.set()

    async with serve_jobs(executor, settings):
        monkeypatch.setattr(AIOKafkaConsumer, "stop", leave_late)
        waiting = asyncio.create_task(wait_for_report())
    await waiting


async def test_executor_without_handlers_raises_no_handlers_error() -> None:
    """It raises before it connects to Kafka."""
    with pytest.raises(NoHandlersError):
        await Executor().serve()


@pytest.mark.parametrize("facades", ["", " , ", "facade", "facade:x"])
async def test_executor_with_a_wrong_facade_address_raises_settings_error(facades: str) -> None:
    """It raises before it connects to Kafka."""
    executor = Executor()
    executor.job(ITEM_TYPE, JOB_TYPE)(quick)

    with pytest.raises(SettingsError):
        await executor.serve(ExecutorSettings(facades=facades))


async def test_executor_enters_its_lifespan_before_the_first_claim_and_leaves_it_after_the_last_run(
    settings: ExecutorSettings, facade: FakeFacade
) -> None:
    """A run that ends while the executor drains still has the open value."""
    story: list[str] = []
    started, may_end = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[str]:
        # Long enough for a stream, if one were opened.
        await asyncio.sleep(0.2)
        assert not facade.requests
        story.append("open")
        yield "pool"
        story.append("closed")

    executor = Executor(lifespan=open_pool)

    @executor.job(ITEM_TYPE, JOB_TYPE)
    async def handler(job: Job[Any, str]) -> None:
        story.append(f"run with {job.resources}")
        started.set()
        await may_end.wait()
        story.append("run ended")

    await append(settings, dispatch_record(A))
    async with serve_jobs(executor, settings):
        await started.wait()
        asyncio.get_running_loop().call_later(0.3, may_end.set)

    assert story == ["open", "run with pool", "run ended", "closed"]
    assert facade.reports[-1].HasField("completed")


async def test_executor_whose_lifespan_ends_by_itself_drains_and_raises_lifespan_error(
    settings: ExecutorSettings, facade: FakeFacade
) -> None:
    """What the lifespan opened is closed, so every further job would fail."""
    may_fail, may_end = asyncio.Event(), asyncio.Event()

    async def refresh() -> None:
        await may_fail.wait()
        raise OSError("db-1 is away")

    @asynccontextmanager
    async def open_with_task() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(refresh())
            yield

    executor = Executor(lifespan=open_with_task)

    @executor.job(ITEM_TYPE, JOB_TYPE)
    async def handler(job: Job[Any]) -> None:
        await may_end.wait()

    await append(settings, dispatch_record(A))
    serving = asyncio.create_task(executor.serve(replace(settings, slots=2)))
    await facade.wait_until(lambda: facade.heartbeats and facade.heartbeats[-1].runs)
    may_fail.set()
    await facade.wait_until(lambda: facade.heartbeats[-1].free_slots == 0)
    await append(settings, dispatch_record(B))
    may_end.set()
    with pytest.raises(LifespanError, match="The lifespan ended by itself: OSError: db-1 is away"):
        await serving

    assert [claim.job_id for claim in facade.claims] == [A]
    assert facade.outcomes == ["completed"]


async def test_executor_whose_serve_is_cancelled_leaves_its_lifespan_after_the_run(
    settings: ExecutorSettings, facade: FakeFacade
) -> None:
    """The handler cleans up first, with the open value."""
    story: list[str] = []

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[str]:
        yield "pool"
        story.append("closed")

    executor = Executor(lifespan=open_pool)

    @executor.job(ITEM_TYPE, JOB_TYPE)
    async def handler(job: Job[Any, str]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            story.append("run ended")

    await append(settings, dispatch_record(A))
    serving = asyncio.create_task(executor.serve(settings))
    await facade.wait_until(lambda: facade.heartbeats and facade.heartbeats[-1].runs)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert story == ["run ended", "closed"]
