"""Offers of jobs that Kafka did not bring to a free executor."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from fabric_jobs.runtime.kafka.partitions import partition_of
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
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
    status_api,
)


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic and a new pool."""
    return apache.environment(topic)


def new_id_on(partition: int) -> str:
    """A job instance id whose records are in this partition."""
    return next(one for one in iter(new_id, "") if partition_of(one, PARTITIONS) == partition)


async def test_jobs_behind_a_full_executor_are_run_by_the_others(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """One of three executors is full and keeps its partitions; the others get offers."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    full = environment | {"FABRIC_JOBS_SLOTS": "1"}
    free = full | {"FABRIC_JOBS_HEARTBEAT_S": "0.3"}
    async with (
        facade(**environment) as one,
        Fabric(one, "journaled") as fabric,
        executor(HANDLERS, one, **full),
    ):
        filling = new_id()
        await fabric.create(filling, {"journal": str(journal), "until": str(go)})
        await await_content(journal)
        async with executor(HANDLERS, one, **free), executor(HANDLERS, one, **free):
            # Two jobs on each partition; the full executor has at least one partition.
            waiting = [new_id_on(number) for number in range(PARTITIONS) for _ in range(2)]
            for job_id in waiting:
                await fabric.create(job_id, {"journal": str(journal)})
            for job_id in waiting:
                await fabric.until(job_id, "Completed", within_s=60)
            still = (await fabric.state(filling)).json()
            go.touch()
            await fabric.until(filling, "Completed")

    assert still["status"] == "InProgress"
    assert sorted(journal.read_text().split()[::2]) == sorted([filling, *waiting])


async def count_offers(replica: Program) -> float:
    """The offers that the facade has made, by its metrics."""
    page = await read_page(replica, "/metrics")
    found = re.search(r"^fabric_jobs_offers_total (\S+)$", page, re.M)
    assert found
    return float(found[1])


async def test_job_behind_a_full_executor_starts_elsewhere_within_a_second(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The other executor's slot counts as free again when its last report is accepted.

    Its heartbeats are 5 seconds apart. The jobs come one by one, two on each partition.
    """
    journal, go = tmp_path / "journal", tmp_path / "go"
    one_slot = environment | {"FABRIC_JOBS_SLOTS": "1"}
    async with (
        facade(**environment) as one,
        Fabric(one, "journaled") as fabric,
        status_api(one) as status,
        executor(HANDLERS, one, **one_slot),
    ):
        filling = new_id()
        await fabric.create(filling, {"journal": str(journal), "until": str(go)})
        await await_content(journal)
        async with executor(HANDLERS, one, **one_slot):
            waits = []
            for number in [*range(PARTITIONS)] * 2:
                await fabric.create(job_id := new_id_on(number), {"journal": str(journal)})
                await fabric.until(job_id, "Completed")
                job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
                waits.append(job.start_time.ToMicroseconds() - job.create_time.ToMicroseconds())
            offers = await count_offers(one)
            go.touch()
            await fabric.until(filling, "Completed")

    print(f"waits in us: {sorted(waits)}, offers: {offers}")
    assert offers >= 2
    # A machine under load may delay one of them.
    assert sorted(waits)[-2] < 1_000_000


async def test_jobs_on_the_fast_path_are_not_offered(environment: dict[str, str]) -> None:
    """Neither one by one nor in a burst that is longer than the patience of offers."""
    async with (
        facade(**environment) as one,
        Fabric(one, "quick") as fabric,
        executor(HANDLERS, one, **environment),
        executor(HANDLERS, one, **environment),
    ):
        burst = [new_id() for _ in range(400)]
        await asyncio.gather(*map(fabric.create, burst))
        for job_id in burst:
            await fabric.until(job_id, "Completed", within_s=60)
        for _ in range(20):
            await fabric.create(job_id := new_id())
            await fabric.until(job_id, "Completed")
        offers = await count_offers(one)

    print(f"offers: {offers}")
    assert offers <= len(burst) / 100


async def read_offers(stream: Any) -> list[pb.Offer]:
    """Reads up to the next response with offers; a heartbeat may be answered by an empty one."""
    while not (offers := list((await stream.read()).offers)):
        pass
    return offers


async def test_executor_without_kafka_runs_offered_jobs(environment: dict[str, str]) -> None:
    """An offer has all that a run needs, and is answered by an ordinary claim."""
    async with (
        facade(**environment) as one,
        Fabric(one, "by-hand") as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"region": "north"})
        stream = status.Session()
        kinds = [pb.JobType(item_type="Test.Item", job_type="by-hand")]
        await stream.write(
            pb.SessionRequest(
                hello=pb.Hello(executor_id="by-hand", job_types=kinds, slots=1),
                heartbeat=pb.Heartbeat(free_slots=1),
            )
        )
        async with asyncio.timeout(30):
            (offer,) = await read_offers(stream)
            claim = pb.Claim(
                entry_id=1, job_id=job_id, attempt=offer.job.attempt, record=offer.record
            )
            await stream.write(pb.SessionRequest(claims=[claim]))
            (granted,) = (await stream.read()).answers
            await stream.write(
                pb.SessionRequest(
                    reports=[
                        pb.Report(
                            entry_id=2,
                            job_id=job_id,
                            attempt=1,
                            grant=granted.accepted,
                            completed=pb.Completed(),
                        )
                    ]
                )
            )
            (reported,) = (await stream.read()).answers
            known = (await status.ListExecutors(pb.ListExecutorsRequest())).executors
            await stream.done_writing()
        state = (await fabric.state(job_id)).json()

    assert (offer.job.job_id, offer.payload) == (job_id, b'{"region":"north"}')
    assert reported.accepted.event_id
    assert state["status"] == "Completed"
    assert [(one.executor_id, list(one.job_types), one.slots) for one in known] == [
        ("by-hand", kinds, 1)
    ]


async def test_executor_is_offered_no_more_jobs_than_free_slots(
    environment: dict[str, str],
) -> None:
    """It gets no offer of a job type without a handler."""
    async with (
        facade(**environment) as one,
        Fabric(one, "by-hand") as fabric,
        Fabric(one, "other") as other,
        status_api(one) as status,
    ):
        for _ in range(3):
            await fabric.create(new_id())
            await other.create(new_id())
        stream = status.Session()
        hello = pb.Hello(
            executor_id="by-hand",
            job_types=[pb.JobType(item_type="Test.Item", job_type="by-hand")],
            slots=5,
        )
        await stream.write(pb.SessionRequest(hello=hello, heartbeat=pb.Heartbeat(free_slots=2)))
        async with asyncio.timeout(30):
            first = await read_offers(stream)
            while len(first) < 2:  # a job is offered half a second after its create
                first += await read_offers(stream)
            await stream.write(pb.SessionRequest(heartbeat=pb.Heartbeat(free_slots=5)))
            second = await read_offers(stream)
        await stream.done_writing()

    assert [offer.job.job_type for offer in first] == ["by-hand"] * 2
    # The third job comes, and perhaps the others again, because their claims are overdue.
    assert second[0].job.job_id not in {offer.job.job_id for offer in first}
