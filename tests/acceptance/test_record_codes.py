"""Facades that share a ring of keys take only each other's records, also while the ring changes."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

from aiokafka import AIOKafkaProducer
from msgspec import Raw
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import Dispatch
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.facade.lifecycle import fold
from tests.support.brokers import SERVERS, Cluster
from tests.support.programs import PARTITIONS, Fabric, Program, executor, facade, new_id, read_page
from tests.support.sealing import ring_key
from tests.support.topic import put, topic_of

HANDLERS = "tests.support.handlers:executor"


ONE, TWO = ring_key("one"), ring_key("two")


@asynccontextmanager
async def ringed(environment: dict[str, str], *keys: str, **more: str) -> AsyncIterator[Program]:
    """A facade with this ring; without keys, with none."""
    ring = {"FABRIC_JOBS_RECORD_KEYS": ",".join(keys)} if keys else {}
    async with facade(**environment | ring | more) as running:
        yield running


async def metric(program: Program, series: str) -> float:
    """The value of a series, once the facade shows it."""
    async with asyncio.timeout(20):
        while True:
            text = await read_page(program, "/metrics")
            if found := re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE):
                return float(found[1])
            await asyncio.sleep(0.2)


async def until_refused(program: Program, topic: str, count: int) -> None:
    """Returns once the facade has counted so many refused records of the topic."""
    async with asyncio.timeout(20):
        series = f'fabric_jobs_refused_records_total{{topic="{topic}"}}'
        while await metric(program, series) != count:
            await asyncio.sleep(0.2)


async def test_forged_events_change_nothing_on_any_replica(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """Without the key, nobody can complete, start or change a job, or have a payload run."""
    environment = apache.environment(topic)
    journal = tmp_path / "journal"
    async with (
        ringed(environment, ONE) as here,
        ringed(environment, ONE) as there,
        Fabric(here, "journaled") as fabric,
        Fabric(there, "journaled") as other,
        topic_of(environment) as log,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal)})
        (requested,) = await log.events_of(job_id)
        forged_payload = b'{"journal":"%s"}' % str(tmp_path / "forged").encode()
        dispatch = Dispatch(Raw(forged_payload))
        # The job's next event, as a facade would write it.
        state = replace(
            requested.data.state, status=JobInstanceStatus.CANCELLED, phase=JobPhase.ENDED
        )
        end = events.Cancelled(
            id=new_id(),
            source="forger",
            subject=job_id,
            time=requested.time,
            data=events.EventData(sequence=2, follows=requested.id, state=state),
        )
        _, job = fold(None, requested)
        assert job
        assert fold(job, end)[1] is not job
        # The same dispatch with another payload; and a job that nobody asked for.
        copy = replace(requested, data=replace(requested.data, dispatch=dispatch))
        unasked = replace(copy, id=new_id(), subject=new_id())
        await put(environment, end, copy, unasked)

        for each in (fabric, other):
            assert (await each.state(unasked.subject)).status_code == 404
            assert (await each.state(job_id)).json()["status"] == "NotStarted"
        async with executor(HANDLERS, here, there, **environment):
            await fabric.until(job_id, "Completed")
            await other.until(job_id, "Completed")
            done = new_id()
            await fabric.create(done, {"journal": str(journal)})
            await fabric.until(done, "Completed")
        for program in (here, there):
            await until_refused(program, "events", 3)

    assert not (tmp_path / "forged").exists()
    assert [line.split()[0] for line in journal.read_text().splitlines()] == [job_id, done]


async def test_copied_record_in_another_place_is_refused(apache: Cluster, topic: str) -> None:
    """A right code is right for one partition, and a repeated record changes nothing."""
    environment = apache.environment(topic)
    async with (
        ringed(environment, ONE) as here,
        Fabric(here, "nobody-runs") as fabric,
        topic_of(environment) as log,
    ):
        job_id = new_id()
        await fabric.create(job_id)
        (record,) = await log.records()
        assert [name for name, _ in record.headers] == ["content-type", "fabric-jobs-code"]
        async with AIOKafkaProducer(bootstrap_servers=environment[SERVERS]) as producer:
            for partition in (record.partition, (record.partition + 1) % PARTITIONS):
                await producer.send_and_wait(
                    topic,
                    record.value,
                    key=record.key,
                    partition=partition,
                    headers=list(record.headers),
                )
        await until_refused(here, "events", 1)
        assert await metric(here, 'fabric_jobs_records_total{verdict="lost"}') == 1


async def test_forged_heartbeat_is_refused(apache: Cluster, topic: str) -> None:
    """Executors and facades that nobody started are shown nowhere."""
    environment = apache.environment(topic)
    async with ringed(environment, ONE) as here:
        async with AIOKafkaProducer(bootstrap_servers=environment[SERVERS]) as producer:
            beat = b'{"type":"executor","executorId":"forged","slots":9,"freeSlots":9}'
            await producer.send_and_wait(f"{topic}.heartbeats", beat, partition=0)
        await until_refused(here, "heartbeats", 1)
        assert await metric(here, "fabric_jobs_executors") == 0


ACCEPT = {"FABRIC_JOBS_RECORD_CODES": "accept"}


async def test_ring_is_introduced_and_rotated_while_jobs_run(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """At each step two facades with neighbouring rings agree on all jobs, the earlier included.

    A ring without the first key takes the records of the facades that have both, and none of those
    that the first key alone signed: a key is removed once the topic has none of these.
    """
    environment = apache.environment(topic)
    steps: list[tuple[tuple[str, ...], dict[str, str]]] = [
        ((), {}),
        ((ONE,), ACCEPT),
        ((TWO, ONE), ACCEPT),
        ((TWO, ONE), {}),
    ]
    job_ids: list[str] = []
    for before, after in pairwise(steps[:3]):
        job_ids += (new := [new_id(), new_id()])
        async with pair(environment, tmp_path, before, after) as (clients, _):
            for client, job_id in zip(clients, new, strict=True):
                await client.create(job_id)
            for client in clients:
                for job_id in job_ids:
                    await client.until(job_id, "Completed")
    new = [new_id(), new_id()]
    async with pair(environment, tmp_path, steps[3], ((TWO,), {})) as (clients, nodes):
        for client, job_id in zip(clients, new, strict=True):
            await client.create(job_id)
        for client in clients:
            for job_id in new:
                await client.until(job_id, "Completed")
        assert (await clients[0].state(job_ids[0])).status_code == 404
        refused = [
            await metric(each, 'fabric_jobs_refused_records_total{topic="events"}')
            for each in nodes
        ]
    assert 0 < refused[0] < refused[1]


@asynccontextmanager
async def pair(
    environment: dict[str, str], folder: Path, *rings: tuple[tuple[str, ...], dict[str, str]]
) -> AsyncIterator[tuple[list[Fabric], list[Program]]]:
    """Two facades with these rings and settings, a client of each, and an executor."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                ringed(environment, *ring, FABRIC_JOBS_STATE_DIR=str(folder / f"{n}"), **more)
            )
            for n, (ring, more) in enumerate(rings)
        ]
        clients = [await stack.enter_async_context(Fabric(each, "quick")) for each in nodes]
        # An executor of the same name takes the earlier one's place in the pool at once.
        named = environment | {"FABRIC_JOBS_EXECUTOR_NAME": "one"}
        await stack.enter_async_context(executor(HANDLERS, *nodes, **named))
        yield clients, nodes


async def test_topic_of_another_ring_or_of_none_ends_the_start(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """A facade that refuses every record would answer 404 to running jobs, so it does not start."""
    environment = apache.environment(topic)
    async with (
        ringed(environment) as here,
        Fabric(here) as fabric,
        topic_of(environment) as log,
    ):
        await fabric.create(job_id := new_id())
        (record,) = await log.records()
        assert [name for name, _ in record.headers] == ["content-type"]
    ring = {"FABRIC_JOBS_RECORD_KEYS": ONE, "FABRIC_JOBS_STATE_DIR": str(tmp_path / "state")}
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fabric_jobs.facade"),
            env=os.environ
            | environment
            | ring
            | {
                "FABRIC_JOBS_AUTHENTICATION": "off",
                "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
                "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
                "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
            },
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert process.returncode == 1
        last = errors.decode().splitlines()[-1]
        assert f"No record of {topic} has a right code of FABRIC_JOBS_RECORD_KEYS" in last
        assert "FABRIC_JOBS_RECORD_CODES=accept" in last
    async with (
        facade(**environment | ring, **ACCEPT) as here,
        Fabric(here) as fabric,
    ):
        assert (await fabric.state(job_id)).status_code == 200


async def test_check_says_which_keys_the_records_need(apache: Cluster, topic: str) -> None:
    """A ring without the key of a facade is incomplete; a key that no record needs is named."""
    environment = apache.environment(topic)
    for keys in ((ONE,), (TWO, ONE)):
        async with ringed(environment, *keys) as running, Fabric(running, "nobody-runs") as fabric:
            assert (await fabric.create(new_id())).status_code == 202

    async def check(*keys: str) -> str:
        settings = {
            "FABRIC_JOBS_RECORD_KEYS": ",".join(keys),
            "FABRIC_JOBS_AUTHENTICATION": "off",
            "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fabric_jobs.facade", "check"),
            env=os.environ | environment | settings,
            stdout=asyncio.subprocess.PIPE,
        )
        report = (await process.communicate())[0].decode()
        return re.sub(r"\s+", " ", report[report.index(f"{topic}: of the oldest") :])

    report = await check(ONE)
    assert "2 records, right codes by one on 2" in report
    report = await check(TWO, ONE)
    assert "right codes by two on 1, one on 2" in report
    assert "No record needs two" in report
    report = await check(TWO)
    assert "lacks keys: records have codes by one alone" in report
