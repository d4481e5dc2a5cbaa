"""The rules of writer and reader over log and replica, on both brokers."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import Struct
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, Policy
from fabric_jobs.facade.jobs.jobs import Jobs, RefusedError
from fabric_jobs.facade.lifecycle import Claim, Reason, ReportCompleted, Request, RequestCancel
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.replica import Filter, Identity, Replica, StateInUseError, Store
from tests.conftest import Cluster
from tests.support.log_kit import running

#: What tells the state of something else from ours.
OTHERS = {"foreign": {"cluster_id": "another"}, "of another version": {"contract": "another"}}


class Node(Struct):
    """A facade without its servers."""

    jobs: Jobs
    replica: Replica
    store: Store
    log: Log


@asynccontextmanager
async def node(cluster: Cluster, topic: str, path: Path | None = None) -> AsyncIterator[Node]:
    """A replica that has caught up."""
    store = Store(path)
    try:
        store.adopt(Identity(cluster_id="c", topic=topic, partitions=4))
        replica = Replica(store)
        async with running(cluster, topic, replica) as log:
            await replica.caught_up()
            yield Node(Jobs(log, replica, "/test", 3.0), replica, store, log)
    finally:
        store.close()


def request(job_id: str | None = None, request_hash: str = "hash") -> Request:
    """A create command."""
    return Request(
        job_id=job_id or str(uuid.uuid4()),
        tenant_id="tenant",
        workspace_id="workspace",
        item_type="Item",
        item_id="item",
        job_type="job",
        invoke_type=InvokeType.MANUAL,
        request_hash=request_hash,
        payload=b'{"a":1}',
    )


async def test_a_job_made_here_is_read_there_at_once(cluster: Cluster, topic: str) -> None:
    """An immediate read on another replica finds every job."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        for _ in range(100):
            entry = await here.jobs.execute(request())
            assert await there.jobs.read(entry.job.job_id) == entry


async def test_a_list_names_what_it_reflects_whatever_is_read_meanwhile(
    cluster: Cluster, topic: str
) -> None:
    """Who reads the topic from the positions in the answer misses nothing."""
    async with node(cluster, topic) as here:
        listed = await here.jobs.execute(request())
        await here.log.read_to_end()
        go_on = Event()
        here.store._writer.ask(lambda _: go_on.wait())
        listing = asyncio.create_task(here.jobs.list(Filter(), 10, None))
        await asyncio.sleep(0)
        later = await here.jobs.execute(request())
        go_on.set()
        found, positions = await listing

        assert found == [listed]
        assert positions[listed.partition] == listed.offset + 1
        assert positions[later.partition] <= later.offset


async def test_one_id_asked_for_by_many_on_two_replicas_is_one_job(
    cluster: Cluster, topic: str
) -> None:
    """The log settles who was first; everybody gets the same job."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        command = request()
        entries = await asyncio.gather(
            *(who.jobs.execute(command) for who in (here, there) for _ in range(50))
        )

        assert len({entry.job.event_id for entry in entries}) == 1
        assert here.replica.counts["applied"] == 1
        # Each replica appends at most once: the others of its fifty find the job.
        assert here.replica.counts["lost"] <= 1


async def test_one_id_with_two_contents_is_one_job_and_one_conflict(
    cluster: Cluster, topic: str
) -> None:
    """Two creates at once that differ: one wins, the other is told so."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        job_id = str(uuid.uuid4())
        results = await asyncio.gather(
            here.jobs.execute(request(job_id, "one")),
            there.jobs.execute(request(job_id, "two")),
            return_exceptions=True,
        )

        (refused,) = [result for result in results if isinstance(result, RefusedError)]
        assert refused.reason is Reason.CONFLICT


async def test_an_unknown_id_is_unknown_only_at_the_log_s_end(cluster: Cluster, topic: str) -> None:
    """A miss reads to the end before it is believed."""
    async with node(cluster, topic) as here:
        assert await here.jobs.read(str(uuid.uuid4())) is None
        with pytest.raises(RefusedError, match="not known"):
            await here.jobs.execute(RequestCancel(job_id=str(uuid.uuid4())))


async def test_two_executors_claims_on_two_replicas_grant_one(cluster: Cluster, topic: str) -> None:
    """The same dispatch claimed at once on both: one run."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        for _ in range(20):
            made = await here.jobs.execute(request())
            job = made.job
            claims = [
                Claim(
                    job_id=job.job_id,
                    attempt=1,
                    executor_id=name,
                    dispatch_id=job.dispatch_id,
                    policy=Policy(),
                )
                for name in ("one", "two")
            ]
            results = await asyncio.gather(
                here.jobs.execute(claims[0], read_to=made.offset + 1),
                there.jobs.execute(claims[1], read_to=made.offset + 1),
                return_exceptions=True,
            )
            (refused,) = [result for result in results if isinstance(result, RefusedError)]
            assert refused.reason is Reason.GRANTED_TO_ANOTHER


async def test_a_restarted_replica_reads_only_what_is_new(
    cluster: Cluster, topic: str, tmp_path: Path
) -> None:
    """The file holds the fold of a prefix: the rest alone is folded."""
    path = tmp_path / "replica.sqlite"
    async with node(cluster, topic, path) as here:
        first = await here.jobs.execute(request())
    async with node(cluster, topic) as elsewhere:
        second = await elsewhere.jobs.execute(request())
    async with node(cluster, topic, path) as here:
        assert here.replica.counts["applied"] == 1
        assert here.replica.get(first.job.job_id) == first
        assert here.replica.get(second.job.job_id) == second


@pytest.mark.parametrize("kind", ["missing", "foreign", "of another version", "no database"])
async def test_a_state_that_can_t_be_used_is_made_anew(
    cluster: Cluster, topic: str, tmp_path: Path, kind: str
) -> None:
    """Missing, of another log or contract, or broken: the log has everything."""
    path = tmp_path / "replica.sqlite"
    async with node(cluster, topic, path) as here:
        entry = await here.jobs.execute(request())
    if kind == "missing":
        path.unlink()
    elif kind in OTHERS:
        store = Store(path)
        store.adopt(replace(Identity(cluster_id="c", topic=topic, partitions=4), **OTHERS[kind]))
        store.close()
    else:
        path.write_bytes(b"no database at all" * 1000)
    async with node(cluster, topic, path) as here:
        assert here.replica.get(entry.job.job_id) == entry


def test_a_state_in_use_is_refused(tmp_path: Path) -> None:
    """Two processes on one file would each see half of the log."""
    path = tmp_path / "replica.sqlite"
    store = Store(path)
    with pytest.raises(StateInUseError, match="FABRIC_JOBS_STATE_DIR"):
        Store(path)
    store.close()


async def test_a_record_that_is_no_event_stops_nobody(
    cluster: Cluster, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is skipped, counted, and logged with its place."""
    async with node(cluster, topic) as here:
        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
        await producer.start()
        for value in (b"junk", b"", b'{"type":"fabric.jobs.started"}'):
            await producer.send_and_wait(topic, value, key=b"k", partition=3)
        await producer.stop()
        entry = await here.jobs.execute(request())
        await here.log.read_to_end()

        assert here.replica.counts["poison"] == 3
        assert "partition 3 offset 1" in caplog.text
        assert await here.jobs.read(entry.job.job_id) == entry


async def test_a_subscriber_with_no_code_of_ours_follows_a_job(
    cluster: Cluster, topic: str
) -> None:
    """A plain consumer reads the job's events under its key, and takes them by their number."""
    async with node(cluster, topic) as here:
        job = (await here.jobs.execute(request())).job
        claim = Claim(
            job_id=job.job_id,
            attempt=1,
            executor_id="one",
            dispatch_id=job.dispatch_id,
            policy=Policy(),
        )
        await here.jobs.execute(claim)
        done = ReportCompleted(job_id=job.job_id, attempt=1, executor_id="one")
        await here.jobs.execute(done)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    seen: list[events.Event] = []
    async with asyncio.timeout(20):
        while len(seen) < 3:
            record = await consumer.getone()
            assert record.key == job.job_id.encode()
            assert dict(record.headers)["content-type"].startswith(b"application/cloudevents+json")
            seen.append(events.decode(record.value))
    await consumer.stop()

    assert [event.data.sequence for event in seen] == [1, 2, 3]
    assert seen[-1].data.state.status is JobInstanceStatus.COMPLETED
    assert seen[0].time <= datetime.now(UTC)
