"""The rules of writer and reader over log and replica, on both brokers."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import Struct
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import InvokeType, JobInstanceStatus, Policy
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Claim, Reason, ReportCompleted, Request, RequestCancel
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.replica import Filter, Identity, Replica, StateInUseError, Store
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.support.brokers import Cluster
from tests.support.lifecycle import ITEM, TENANT, WORKSPACE, decide_event, stamp
from tests.support.log_kit import append_records, open_log
from tests.support.sealing import NO_SEALING

#: Fields of the identity of another log, and of another version.
OTHERS = {"foreign": {"cluster_id": "another"}, "of another version": {"contract": "another"}}


class Node(Struct):
    """A facade without its HTTP and gRPC servers."""

    jobs: Jobs
    replica: Replica
    store: Store
    log: Log


@asynccontextmanager
async def node(cluster: Cluster, topic: str, path: Path | None = None) -> AsyncIterator[Node]:
    """A node whose replica has read the log to its end; it runs to the end of the block."""
    store = Store(path)
    try:
        store.adopt(Identity(cluster_id="c", topic=topic, partitions=4))
        replica = Replica(store, 4)
        async with open_log(cluster, topic, replica) as log:
            await replica.index_for_lists()
            yield Node(Jobs(log, replica, "/test", 3.0, NO_SEALING), replica, store, log)
    finally:
        store.close()


def request(job_id: str | None = None, request_hash: str = "hash") -> Request:
    """The command that creates a job, with a random id by default."""
    return Request(
        job_id=job_id or str(uuid.uuid4()),
        tenant_id=TENANT,
        workspace_id=WORKSPACE,
        item_type="Item",
        item_id=ITEM,
        job_type="job",
        invoke_type=InvokeType.MANUAL,
        request_hash=request_hash,
        payload=b'{"a":1}',
    )


async def test_read_on_another_replica_finds_a_job_at_once(cluster: Cluster, topic: str) -> None:
    """A read on another replica, right after the create, finds every job."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        for _ in range(100):
            stored = await here.jobs.execute(request())
            assert await there.jobs.read(stored.job.job_id) == stored


async def test_list_returns_the_positions_that_it_reflects(
    cluster: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber that reads the topic from the returned positions misses nothing."""
    async with node(cluster, topic) as here:
        first = await here.jobs.execute(request())
        await here.log.read_to_end()
        go_on = Event()
        here.store._writer.run(lambda _: go_on.wait())
        asked, list_stored = asyncio.Event(), here.replica.list

        def list_and_tell(*arguments: Any) -> Any:
            asked.set()
            return list_stored(*arguments)

        monkeypatch.setattr(here.replica, "list", list_and_tell)
        listing = asyncio.create_task(here.jobs.list(Filter(), 10, None))
        await asked.wait()
        later = await here.jobs.execute(request())
        go_on.set()
        found, positions = await listing

        assert found == [first]
        assert positions[first.partition] == first.offset + 1
        assert positions[later.partition] <= later.offset


async def test_concurrent_creates_of_one_id_on_two_replicas_create_one_job(
    cluster: Cluster, topic: str
) -> None:
    """The log decides which create is first, and all callers get the same job."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        command = request()
        stored_jobs = await asyncio.gather(
            *(each.jobs.execute(command) for each in (here, there) for _ in range(50))
        )

        assert len({stored.job.event_id for stored in stored_jobs}) == 1
        assert here.replica.counts["applied"] == 1
        # Each replica appends at most once, because its other 49 callers find the job.
        assert here.replica.counts["lost"] <= 1


async def test_concurrent_creates_with_different_content_conflict(
    cluster: Cluster, topic: str
) -> None:
    """One of the two creates wins, and the other is refused as a conflict."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        job_id = str(uuid.uuid4())
        results = await asyncio.gather(
            here.jobs.execute(request(job_id, "one")),
            there.jobs.execute(request(job_id, "two")),
            return_exceptions=True,
        )

        (refused,) = [result for result in results if isinstance(result, RefusedError)]
        assert refused.reason is Reason.CONFLICT


async def test_unknown_id_is_not_found_at_the_end_of_the_log(cluster: Cluster, topic: str) -> None:
    """A read or command of an unknown id reads the log to its end before it says so."""
    async with node(cluster, topic) as here:
        assert await here.jobs.read(str(uuid.uuid4())) is None
        with pytest.raises(RefusedError, match="not known"):
            await here.jobs.execute(RequestCancel(job_id=str(uuid.uuid4())))


async def test_concurrent_claims_on_two_replicas_grant_one_executor(
    cluster: Cluster, topic: str
) -> None:
    """Two executors claim the same dispatch at once, each on its own replica: one is granted."""
    async with node(cluster, topic) as here, node(cluster, topic) as there:
        for _ in range(20):
            created = await here.jobs.execute(request())
            job = created.job
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
                here.jobs.execute(claims[0], read_to=created.offset + 1),
                there.jobs.execute(claims[1], read_to=created.offset + 1),
                return_exceptions=True,
            )
            (refused,) = [result for result in results if isinstance(result, RefusedError)]
            assert refused.reason is Reason.GRANTED_TO_ANOTHER


async def test_claim_of_another_record_with_the_same_event_id_is_refused(
    cluster: Cluster, topic: str
) -> None:
    """A copy of the dispatching event may have another payload, so its claim starts nothing."""
    async with node(cluster, topic) as here:
        created = await here.jobs.execute(request())
        claim = Claim(
            job_id=created.job.job_id,
            attempt=1,
            executor_id="one",
            dispatch_id=created.job.dispatch_id,
            policy=Policy(),
        )
        await append_records(here.log, created.partition, b"junk")

        with pytest.raises(RefusedError) as refused:
            await here.jobs.execute(claim, read_to=created.offset + 2)
        assert refused.value.reason is Reason.NOT_DISPATCHED
        granted = await here.jobs.execute(claim, read_to=created.offset + 1)
        assert granted.job.state.executor_id == "one"


async def test_restarted_replica_folds_only_new_records(
    cluster: Cluster, topic: str, tmp_path: Path
) -> None:
    """The file is the fold of a prefix, and only the rest of the log is folded."""
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
async def test_unusable_state_file_is_built_again_from_the_log(
    cluster: Cluster, topic: str, tmp_path: Path, kind: str
) -> None:
    """The file is missing, of another log or version, or broken: the log has everything."""
    path = tmp_path / "replica.sqlite"
    async with node(cluster, topic, path) as here:
        stored = await here.jobs.execute(request())
    if kind == "missing":
        path.unlink()
    elif kind in OTHERS:
        store = Store(path)
        store.adopt(replace(Identity(cluster_id="c", topic=topic, partitions=4), **OTHERS[kind]))
        store.close()
    else:
        path.write_bytes(b"no database at all" * 1000)
    async with node(cluster, topic, path) as here:
        assert here.replica.get(stored.job.job_id) == stored


def test_store_refuses_a_file_that_is_in_use(tmp_path: Path) -> None:
    """Two processes with one file would each have only half of the log in it."""
    path = tmp_path / "replica.sqlite"
    store = Store(path)
    with pytest.raises(StateInUseError, match="FABRIC_JOBS_STATE_DIR"):
        Store(path)
    store.close()


async def test_record_that_is_no_event_is_skipped_and_counted(
    cluster: Cluster, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The record is logged with its partition and offset, and the next event is folded."""
    async with node(cluster, topic) as here:
        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
        await producer.start()
        for value in (b"junk", b"", b'{"type":"fabric.jobs.started"}'):
            await producer.send_and_wait(topic, value, key=b"k", partition=3)
        await producer.stop()
        stored = await here.jobs.execute(request())
        await here.log.read_to_end()

        assert here.replica.poison.count == 3
        assert "partition 3 offset 1" in caplog.text
        assert await here.jobs.read(stored.job.job_id) == stored


async def test_plain_kafka_consumer_follows_a_job(cluster: Cluster, topic: str) -> None:
    """A plain consumer reads the job's events under its key, in the order of their sequence."""
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
            seen.append(events.decode_record(record.key, record.value))
    await consumer.stop()

    assert [event.data.sequence for event in seen] == [1, 2, 3]
    assert seen[-1].data.state.status is JobInstanceStatus.COMPLETED
    assert seen[0].time <= datetime.now(UTC)


async def test_fork_found_after_the_end_was_read_makes_the_replica_read_the_log_again_once(
    cluster: Cluster, topic: str
) -> None:
    """The replica may hold a mixture of two topics. It is not ready until the log was read again;
    a log that is forked itself is not read again and again."""
    async with node(cluster, topic) as here:
        here.replica.on_fork = here.log.reread
        first = await here.jobs.execute(request())
        event = decide_event(first.job, RequestCancel(job_id=first.job.job_id), stamp("other"))
        forked = replace(event, data=replace(event.data, follows="an event of another topic"))
        partition = partition_of(first.job.job_id, 4)
        for count in (2, 3):
            fork = replace(forked, id=f"fork {count}")
            await append_records(here.log, partition, events.encode(fork), key=fork.subject)
            async with asyncio.timeout(30):
                while here.replica.counts["forked"] < count:
                    await asyncio.sleep(0.01)
                await here.log.catch_up()

        assert here.log.caught_up
        assert here.replica.get(first.job.job_id) == first
        # The first fork was found twice, because the log was read again; the second one once.
        assert here.replica.counts["forked"] == 3
