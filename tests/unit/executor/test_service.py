"""A whole executor, between the embedded broker and a scripted facade."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.executor import Executor, ExecutorSettings, Job, NoHandlersError, intake
from fabric_jobs.runtime.settings import SettingsError
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.conftest import Cluster
from tests.support.fake_facade import ITEM_TYPE, JOB_TYPE, FakeFacade, requested, started


@pytest.fixture
async def settings(embedded: Cluster, topic: str, facade: FakeFacade) -> ExecutorSettings:
    """Those of a fresh topic and pool."""
    return ExecutorSettings(
        kafka_bootstrap_servers=embedded.bootstrap_servers,
        kafka_broker="embedded",
        events_topic=topic,
        facades=facade.address,
        pool=f"pool-{uuid4()}",
        slots=1,
        heartbeat_s=0.1,
        drain_s=5,
    )


async def append(settings: ExecutorSettings, *values: bytes) -> None:
    """Appends to the topic's partition 0."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        for value in values:
            await producer.send_and_wait(settings.events_topic, value, partition=0)


async def committed(settings: ExecutorSettings) -> int | None:
    """The pool's position in partition 0."""
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.pool,
        enable_auto_commit=False,
    ) as consumer:
        position: int | None = await consumer.committed(TopicPartition(settings.events_topic, 0))
        return position


@asynccontextmanager
async def serving_jobs(executor: Executor, settings: ExecutorSettings) -> AsyncIterator[str]:
    """The executor, ready; it is stopped at the end."""
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(executor.serve(settings, stop=stop, on_ready=ready.set_result))
        yield await ready
        stop.set()


def record(job_id: str, item_type: str = ITEM_TYPE) -> bytes:
    """A record that dispatches a job."""
    return events.encode(requested(job_id, item_type=item_type))


async def test_each_dispatch_of_a_served_type_is_claimed_in_turn(
    settings: ExecutorSettings, facade: FakeFacade
) -> None:
    """With one slot, one at a time; other records are passed over; claims are what is committed."""
    executor = Executor()
    running: set[str] = set()
    go_on = asyncio.Event()

    @executor.job(ITEM_TYPE, JOB_TYPE)
    async def handler(job: Job[Any]) -> None:
        assert not running
        running.add(job.job_id)
        await go_on.wait()
        running.clear()

    await append(
        settings,
        b"\xff no event",
        record("other", "Other.Item"),
        started("x"),
        record("a"),
        record("b"),
        record("c"),
    )
    named = replace(settings, executor_name="worker-0")
    async with serving_jobs(executor, named) as executor_id:
        await facade.until(lambda: facade.claims)
        # Long enough that the intake has paused its partition, and polled it.
        await facade.until_beats(10)
        assert [claim.job_id for claim in facade.claims] == ["a"]
        go_on.set()
        await facade.until(lambda: len(facade.reports) == 3)

    assert [claim.job_id for claim in facade.claims] == ["a", "b", "c"]
    assert [claim.record.offset for claim in facade.claims] == [3, 4, 5]
    assert facade.requests[0].hello == pb.Hello(
        executor_id=executor_id,
        pool=settings.pool,
        job_types=[pb.JobType(item_type=ITEM_TYPE, job_type=JOB_TYPE)],
        slots=1,
    )
    assert UUID(executor_id.removeprefix("worker-0-"))
    assert await committed(settings) == 6


async def test_an_undecided_claim_is_asked_again_by_the_next_executor(
    settings: ExecutorSettings, facade: FakeFacade
) -> None:
    """Its record is not committed, though later ones were read; the decided one is not repeated."""
    executor = Executor()

    @executor.job(ITEM_TYPE, JOB_TYPE)
    def handler(job: Job[Any]) -> None: ...

    facade.script = lambda claim: None if claim.job_id == "b" else FakeFacade().script(claim)
    await append(settings, record("a"), record("b"), started("b"))
    impatient = replace(settings, drain_s=0.0, slots=2)
    async with serving_jobs(executor, impatient):
        await facade.until(lambda: {claim.job_id for claim in facade.claims} == {"a", "b"})
        await facade.until(lambda: facade.reports)
    assert await committed(settings) == 1

    facade.script = FakeFacade().script
    async with serving_jobs(executor, impatient):
        await facade.until(lambda: len(facade.reports) == 2)

    assert [report.job_id for report in facade.reports] == ["a", "b"]
    assert await committed(settings) == 3


async def test_a_stop_waits_for_no_broker_before_it_is_said(
    settings: ExecutorSettings, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the group is left, no offer is taken any more."""
    executor = Executor()
    executor.job(ITEM_TYPE, JOB_TYPE)(print_nothing)
    monkeypatch.setattr(intake, "STOP_S", 60)
    said = asyncio.Event()
    leave = AIOKafkaConsumer.stop

    async def leave_late(consumer: AIOKafkaConsumer) -> None:
        await said.wait()
        await leave(consumer)

    async def await_the_word() -> None:
        await facade.until(lambda: facade.heartbeats[-1].free_slots == 0)
        said.set()

    async with serving_jobs(executor, settings):
        monkeypatch.setattr(AIOKafkaConsumer, "stop", leave_late)
        waiting = asyncio.create_task(await_the_word())
    await waiting


async def test_an_executor_without_handlers_does_not_serve() -> None:
    """There is nothing that it could run."""
    with pytest.raises(NoHandlersError):
        await Executor().serve()


@pytest.mark.parametrize("facades", ["", " , ", "facade", "facade:x"])
async def test_facades_that_name_no_address_are_refused_at_once(facades: str) -> None:
    """Before anything is connected."""
    executor = Executor()
    executor.job(ITEM_TYPE, JOB_TYPE)(print_nothing)

    with pytest.raises(SettingsError):
        await executor.serve(ExecutorSettings(facades=facades))


async def print_nothing(job: Job[Any]) -> None:
    """A handler."""


def test_the_executor_needs_nothing_of_the_facades() -> None:
    """Its base dependencies are few; who runs handlers installs no web framework."""
    code = (
        "import sys, fabric_jobs.executor; print("
        "sys.modules.keys() & {'fabric_jobs.facade', 'litestar', 'confluent_kafka'})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
