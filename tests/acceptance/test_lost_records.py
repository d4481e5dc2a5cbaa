"""The topic loses acknowledged records: their jobs are lost, and an alert is raised."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.chaos.kafka import NODES, ChaosKafka
from tests.support import command
from tests.support.apache_kafka import why_unavailable
from tests.support.brokers import Cluster, delete_topic
from tests.support.programs import (
    HANDLERS,
    PARTITIONS,
    Fabric,
    Program,
    await_content,
    executor,
    facade,
    new_id,
    read_page,
)
from tests.support.requirements import no_apache_kafka

# The power loss takes 81 s on two cores, because three brokers start twice.
pytestmark = pytest.mark.timeout(400)

SHORT_LEASES = {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}
CHECK = {"FABRIC_JOBS_AUTHENTICATION": "off", "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS)}
#: Seconds for everything to work again.
RECOVERED_S = 90
FORKED = 'fabric_jobs_records_total{verdict="forked"} '


async def test_power_loss_of_all_brokers_costs_only_the_latest_records_and_raises_the_alert(
    tmp_path: Path,
) -> None:
    """Jobs of these records are gone or go back, on both facades alike; all others are kept."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    journal, end = tmp_path / "journal", tmp_path / "end"
    with ChaosKafka(tmp_path / "kafka", []) as kafka:
        environment = Cluster(kafka.bootstrap_servers, APACHE).environment("test.power")
        environment |= SHORT_LEASES
        kept, lost, running = [new_id() for _ in range(5)], [new_id() for _ in range(5)], new_id()
        async with (
            two_facades(environment) as ((one, first), (two, second)),
            Fabric(one, "journaled") as long,
        ):
            await complete(first, kept)
            await long.create(running, {"journal": str(journal), "until": str(end)})
            await await_content(journal)
            flushed = time.time()
            end.touch()
            await long.until(running, "Completed")
            await complete(first, lost)
            await asyncio.to_thread(kafka.lose_power, NODES, flushed)
            await asyncio.to_thread(kafka.restart, *NODES)
            for fabric, replica in ((first, one), (second, two)):
                await until_jobs_complete(fabric)
                await until_alert(replica)
            await long.until(running, "Completed", "Failed", within_s=RECOVERED_S)
            for fabric in (first, second):
                assert [await status(fabric, job_id) for job_id in kept] == ["Completed"] * 5
                assert [await status(fabric, job_id) for job_id in lost] == [""] * 5


@pytest.mark.parametrize("soon", [True, False], ids=["at once", "once it is missed"])
async def test_topic_made_anew_while_everything_runs_begins_without_jobs_and_raises_the_alert(
    apache: Cluster, topic: str, soon: bool
) -> None:
    """A facade without its topic says how to create it, and then serves without a restart."""
    environment = apache.environment(topic) | SHORT_LEASES
    old = [new_id() for _ in range(5)]
    async with two_facades(environment) as ((one, first), (two, second)):
        await complete(first, old)
        assert [await status(second, job_id) for job_id in old] == ["Completed"] * 5
        await delete_topic(apache, topic)
        if not soon:
            await until_refused(first)
            for replica in (one, two):
                await until_unready(replica, f"The topic {topic} does not exist any more: create")
        created = await command.run("check", "--create", environment=environment | CHECK)
        for fabric, replica in ((first, one), (second, two)):
            await until_jobs_complete(fabric)
            await until_alert(replica)
            assert [await status(fabric, job_id) for job_id in old] == [""] * 5

    assert created.exit_code == 0


@asynccontextmanager
async def two_facades(
    environment: dict[str, str],
) -> AsyncIterator[tuple[tuple[Program, Fabric], tuple[Program, Fabric]]]:
    """Two facades with an executor. Each comes with a client that plays Fabric."""
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        executor(HANDLERS, one, two, **environment),
        Fabric(one) as first,
        Fabric(two) as second,
    ):
        yield (one, first), (two, second)


async def complete(fabric: Fabric, job_ids: Sequence[str]) -> None:
    """Creates these jobs, and returns once all are completed."""
    for job_id in job_ids:
        assert (await fabric.create(job_id)).status_code == 202
    for job_id in job_ids:
        await fabric.until(job_id, "Completed")


async def until_jobs_complete(fabric: Fabric) -> None:
    """Returns once the facade accepts a new job, which completes."""
    job_id = new_id()
    async with asyncio.timeout(RECOVERED_S):
        while (await fabric.create(job_id)).status_code != 202:
            await asyncio.sleep(0.2)
    await fabric.until(job_id, "Completed", within_s=RECOVERED_S)


async def until_alert(replica: Program) -> None:
    """Returns once the replica counts a fork, which raises the alert `FabricJobsForked`."""
    async with asyncio.timeout(RECOVERED_S):
        while True:
            lines = (await read_page(replica, "/metrics")).splitlines()
            (count,) = (line.removeprefix(FORKED) for line in lines if line.startswith(FORKED))
            if float(count):
                return
            await asyncio.sleep(0.2)


async def until_refused(fabric: Fabric) -> None:
    """Returns once the facade accepts no job.

    A broker may take records of a deleted topic for a moment.
    """
    async with asyncio.timeout(RECOVERED_S):
        while (await fabric.create(new_id())).status_code != 503:
            await asyncio.sleep(0.2)


async def until_unready(replica: Program, reason: str) -> None:
    """Returns once the replica is not ready, for this reason."""
    url = replica.ready["http"].removesuffix("/workload") + "/readyz"
    async with httpx.AsyncClient() as client, asyncio.timeout(RECOVERED_S):
        while reason not in (await client.get(url)).text:
            await asyncio.sleep(0.2)


async def status(fabric: Fabric, job_id: str) -> str:
    """The job's status; empty if the facade does not know the job."""
    answer = await fabric.state(job_id)
    assert answer.status_code in {200, 404}
    return str(answer.json()["status"]) if answer.status_code == 200 else ""
