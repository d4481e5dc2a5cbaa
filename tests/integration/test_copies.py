"""A new replica takes its neighbour's state on Apache Kafka, or reads the log if it can't."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import grpc
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from msgspec.structs import replace as structs_replace

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import FacadeHeartbeat
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Request
from fabric_jobs.facade.log import Log, RecordCodes
from fabric_jobs.facade.replica import Filter, Identity, Replica, Store
from fabric_jobs.facade.rpc import ReplicaService, RpcRole, RpcSecurity, RpcServer, replica_service
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import copies, topics
from fabric_jobs.runtime.channels import open_channel
from fabric_jobs.runtime.settings import read_ring
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import replica_pb2 as pb
from fabric_jobs.status.v1.replica_pb2_grpc import ReplicaServiceStub
from tests.support.brokers import Cluster
from tests.support.certificates import Authority
from tests.support.lifecycle import request
from tests.support.programs import PARTITIONS, new_id
from tests.support.rpc_kit import error_info, serve
from tests.support.sealing import NO_SEALING
from tests.support.store_kit import IDENTITY, open_store, put, stored_job

RING = "one:YF6d7kknEK/Z2k4jX7jC9yO0PEnqr9LVYL1QbjRFxfc="


def new_job() -> Request:
    """The command that creates a job."""
    return request(new_id())


class Service:
    """A topic, and what each of its facades is set to."""

    def __init__(self, cluster: Cluster, topic: str, folder: Path, *, ring: bool = False) -> None:
        self.folder = folder
        self.settings = FacadeSettings(
            kafka_bootstrap_servers=cluster.bootstrap_servers,
            events_topic=topic,
            heartbeats_topic=f"{topic}.heartbeats",
            events_partitions=PARTITIONS,
            create_topics=True,
        )
        self.codes = RecordCodes(read_ring(RING), required=True, record_time=True) if ring else None
        self.identity = Identity(
            cluster_id="c",
            topic=topic,
            partitions=PARTITIONS,
            record_rules=self.codes.rules if self.codes else "",
        )

    def facade(self, name: str) -> FacadeSettings:
        """The settings of one facade, which keeps its state in a folder of its own."""
        return structs_replace(self.settings, state_dir=self.folder / name)

    async def open_new(self, name: str = "new", security: RpcSecurity | None = None) -> Store:
        """The store of a new facade."""
        settings = self.facade(name)
        return await copies.open_store(
            settings, self.identity, self.codes, security, takes_copy=True
        )

    @asynccontextmanager
    async def run(self, store: Store) -> AsyncIterator[tuple[Jobs, Replica, Log]]:
        """A replica with this store, which has read the log to its end."""
        log = Log(self.settings, topics.events(self.settings), self.codes)
        await log.connect()
        replica = Replica(store, PARTITIONS)
        reading = asyncio.create_task(log.run(replica))
        try:
            async with asyncio.timeout(30):
                await log.catch_up()
            yield Jobs(log, replica, "/test", 3.0, NO_SEALING), replica, log
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def announce(self, address: str) -> None:
        """Says on the heartbeats topic that a facade gives copies at this address."""
        log = Log(self.settings, topics.heartbeats(self.settings), self.codes)
        await log.connect()
        appending = asyncio.create_task(log._appender.run())
        heartbeat = FacadeHeartbeat(
            facade_id=f"/test/{address}", time=datetime.now(UTC), copy_address=address
        )
        try:
            await (await log.append(0, b"key", heartbeats.encode(heartbeat), []))
        finally:
            appending.cancel()
            with suppress(asyncio.CancelledError):
                await appending


@pytest.fixture(params=[False, True], ids=["without record codes", "with record codes"])
def service(request: pytest.FixtureRequest, apache: Cluster, topic: str, tmp_path: Path) -> Service:
    """A new topic."""
    return Service(apache, topic, tmp_path, ring=request.param)


@asynccontextmanager
async def neighbour(
    service: Service, security: RpcSecurity | None = None
) -> AsyncIterator[tuple[Jobs, Replica, Log, Store, RpcServer]]:
    """A facade with ten jobs, which gives copies of its state."""
    store = await service.open_new("old")
    try:
        async with service.run(store) as (jobs, replica, log):
            for _ in range(10):
                await jobs.execute(new_job())
            given = ReplicaService(store, service.identity, lambda: True)
            async with serve(security, copies=given) as rpc:
                await service.announce(rpc.address)
                yield jobs, replica, log, store, rpc
    finally:
        store.close()


async def test_new_replica_takes_its_neighbours_state_and_reads_on(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It folds only what came later, and knows every job."""
    caplog.set_level(logging.INFO)
    async with neighbour(service) as (jobs, theirs, _, _, rpc):
        store = await service.open_new()
        later = await jobs.execute(new_job())
        async with service.run(store) as (_, ours, _):
            assert ours.counts["applied"] == 1
            assert len(await ours.list(Filter(), 100)) == 11
            assert ours.get(later.job.job_id) == later
            assert ours.checkpoints() == theirs.checkpoints()
        store.close()

    assert f"the state is a copy of {rpc.address}" in caplog.text
    folder = service.folder / "new"
    assert {path.name for path in folder.iterdir()} == {"replica.sqlite", "replica.lock"}


async def test_replica_with_a_state_asks_for_no_copy(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own file is read on."""
    caplog.set_level(logging.INFO)
    async with neighbour(service):
        (await service.open_new()).close()
        caplog.clear()
        store = await service.open_new()
        store.close()

    assert "the state is a copy" not in caplog.text


async def test_replica_without_neighbours_reads_the_whole_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The first facade of a service has nobody to ask."""
    caplog.set_level(logging.INFO)
    store = await service.open_new()
    assert store.checkpoints() == {}
    store.close()

    assert "no other facade has given its state: the whole log is read" in caplog.text


class FaultyService(ReplicaService):
    """A neighbour whose copy can't be used."""

    def __init__(self, fault: str, service: Service) -> None:
        super().__init__(Store(None), service.identity, lambda: True)
        self.fault = fault

    async def CopyReplica(  # noqa: N802 - gRPC's name
        self, request: pb.CopyReplicaRequest, context: Any
    ) -> AsyncIterator[pb.CopyReplicaResponse]:
        """Sends what the fault wants."""
        yield pb.CopyReplicaResponse(size=8192)
        yield pb.CopyReplicaResponse(chunk=bytes(4096))
        if self.fault == "silent":
            await asyncio.sleep(30)
        if self.fault == "broken off":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if self.fault == "ended":
            return
        yield pb.CopyReplicaResponse(chunk=bytes(8192 if self.fault == "too large" else 4096))
        yield pb.CopyReplicaResponse(checksum=1 if self.fault == "damaged" else crc32(bytes(8192)))


FAULTS = {
    "silent": "TimeoutError",
    "broken off": "UNAVAILABLE gone",
    "ended": "The copy ended before its checksum.",
    "too large": "The copy is larger than the announced 8192 bytes.",
    "damaged": "The copy is damaged.",
    "no database": "The copy is",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_copy_that_fails_leaves_no_file_and_the_log_is_read(
    apache: Cluster,
    topic: str,
    tmp_path: Path,
    fault: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line says why, and the replica knows every job all the same."""
    monkeypatch.setattr(copies, "PART_TIMEOUT_S", 1.0)
    service = Service(apache, topic, tmp_path)
    old = await service.open_new("old")
    async with service.run(old) as (jobs, _, _):
        created = await jobs.execute(new_job())
    old.close()
    async with serve(None, copies=FaultyService(fault, service)) as rpc:
        await service.announce(rpc.address)
        store = await service.open_new()
    async with service.run(store) as (_, ours, _):
        assert ours.get(created.job.job_id) == created
    store.close()

    lines = [record.message for record in caplog.records if "no state from" in record.message]
    assert len(lines) == 1
    assert lines[0].startswith(f"no state from {rpc.address}: {FAULTS[fault]}")
    assert not (tmp_path / "new" / "incoming.sqlite").exists()


async def test_neighbour_that_is_killed_in_the_midst_leaves_no_file(tmp_path: Path) -> None:
    """The call ends at once, and what was received is deleted."""
    new = tmp_path / "new"
    new.mkdir()
    command = (sys.executable, "-m", "tests.support.slow_neighbour", str(tmp_path / "old.sqlite"))
    killed = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert killed.stdout
    try:
        async with asyncio.timeout(30):
            address = (await killed.stdout.readline()).decode().strip()
            copying = asyncio.create_task(
                copies._copy_from(address, new / "replica.sqlite", IDENTITY, None)
            )
            received = new / "incoming.sqlite"
            while not (received.exists() and received.stat().st_size):
                await asyncio.sleep(0.01)
            killed.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await copying
    finally:
        if killed.returncode is None:
            killed.kill()
        await killed.wait()

    assert [*new.iterdir()] == []


async def test_neighbour_that_is_gone_is_passed_by_for_the_next(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A heartbeat outlives its facade by some seconds."""
    async with neighbour(service):
        await service.announce("127.0.0.1:1")
        store = await service.open_new()
        assert store.checkpoints()
        store.close()

    assert "no state from 127.0.0.1:1: UNAVAILABLE" in caplog.text


async def test_neighbour_beyond_loopback_is_not_asked_without_tls(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could tell who answers."""
    await service.announce("192.0.2.1:5001")
    (await service.open_new()).close()

    assert "no state from 192.0.2.1:5001: Without mutual TLS" in caplog.text


async def test_copy_whose_records_are_not_on_the_topic_is_dropped_for_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The last records are verified, as those of a file of one's own."""
    async with neighbour(service) as (jobs, _, _, store, _):
        known = await jobs.execute(new_job())
        number, checkpoint = next(iter(store.checkpoints().items()))
        store._checkpoints[number] = checkpoint._replace(last_checksum=4711)
        copy = await service.open_new()
        assert copy.checkpoints()[number].last_checksum == 4711
        async with service.run(copy) as (_, ours, _):
            assert ours.counts["applied"] == 11
            assert ours.get(known.job.job_id) == known
        copy.close()

    assert "lacks records that were read before" in caplog.text


async def test_copy_that_ends_before_the_log_begins_is_dropped_for_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The topic has deleted the records after the copy's last one."""
    async with neighbour(service) as (jobs, _, log, _, _):
        copy = await service.open_new()
        later = [await jobs.execute(new_job()) for _ in range(20)]
        admin = AIOKafkaAdminClient(bootstrap_servers=service.settings.kafka_bootstrap_servers)
        await admin.start()
        ends = {
            TopicPartition(log.topic, number): RecordsToDelete(before_offset=end)
            for number, end in log.positions.items()
        }
        await admin.delete_records(ends)
        await admin.close()
        kept = await jobs.execute(new_job())
        async with service.run(copy) as (_, ours, _):
            assert ours.get(kept.job.job_id) == kept
            assert ours.get(later[0].job.job_id) is None
        copy.close()

    assert "has dropped records: all of it is read again" in caplog.text
    assert "forked" not in caplog.text


@pytest.fixture
def slow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a small file takes a second or so."""
    monkeypatch.setattr(replica_service, "MAX_BYTES_PER_S", 100_000)


@pytest.mark.usefixtures("slow_copies")
async def test_neighbour_sends_one_copy_at_a_time(service: Service) -> None:
    """A second newcomer asks another facade, or reads the log."""
    async with (
        neighbour(service) as (_, _, _, _, rpc),
        grpc.aio.insecure_channel(rpc.address) as channel,
    ):
        stub = ReplicaServiceStub(channel)  # type: ignore[no-untyped-call]
        request = pb.CopyReplicaRequest(identity=service.identity.digest())
        first = stub.CopyReplica(request)
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CopyReplica(request).read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_info(refused.value).reason == "COPY_IN_PROGRESS"
        assert (await first.read()).WhichOneof("part") == "chunk"
        assert (await first.read()).WhichOneof("part") == "checksum"
        assert await first.read() is grpc.aio.EOF
        assert (await stub.CopyReplica(request).read()).size > 0


@pytest.mark.usefixtures("slow_copies")
async def test_copy_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Of another state, of none, and of a facade that is not ready or stops."""
    store = open_store(tmp_path / "replica.sqlite")
    put(store, stored_job(1))
    ready = True
    given = ReplicaService(store, IDENTITY, lambda: ready)
    right = pb.CopyReplicaRequest(identity=IDENTITY.digest())
    reasons = []
    async with (
        serve(None, copies=given) as rpc,
        serve(None) as in_memory,
        grpc.aio.insecure_channel(rpc.address) as channel,
        grpc.aio.insecure_channel(in_memory.address) as other,
    ):
        stub = ReplicaServiceStub(channel)  # type: ignore[no-untyped-call]
        reasons.append(await reason_of(stub, pb.CopyReplicaRequest(identity=b"other")))
        reasons.append(await reason_of(ReplicaServiceStub(other), right))  # type: ignore[no-untyped-call]
        ready = False
        reasons.append(await reason_of(stub, right))
        ready = True
        call = stub.CopyReplica(right)
        await call.read()
        given.stop()
        reasons.append(await reason_of(stub, right))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read_to_end(call)
        reasons.append(error_info(ended.value).reason)
    store.close()

    assert reasons == ["OTHER_STATE", "NO_STATE_FILE", "NOT_READY", "STOPPING", "STOPPING"]


async def read_to_end(call: Any) -> None:
    """Reads the rest of a copy. Raises the error that ends it."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def reason_of(stub: Any, request: pb.CopyReplicaRequest) -> str:
    """The reason for which the call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CopyReplica(request).read()
    return str(error_info(refused.value).reason)


async def test_copy_under_mutual_tls_needs_the_facades_names(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both sides know each other by the names of their certificates, and not by addresses."""
    authority = Authority(tmp_path / "authority")
    secured = {
        name: RpcSecurity(
            PemFiles(authority.ca, certificate.cert, certificate.key),
            {role: frozenset[str]() for role in RpcRole} | {RpcRole.FACADES: frozenset({"facade"})},
        )
        for name in ("facade", "stranger")
        for certificate in [authority.client(name)]
    }
    async with neighbour(service, secured["facade"]) as (_, _, _, _, rpc):
        store = await service.open_new("new", secured["facade"])
        assert store.checkpoints()
        store.close()
        store = await service.open_new("strange", secured["stranger"])
        assert not store.checkpoints()
        store.close()
        reader = authority.client("reader")
        files = PemFiles(authority.ca, reader.cert, reader.key)
        named = [("grpc.ssl_target_name_override", "facade")]
        async with open_channel(rpc.address, files, named) as channel:
            stub = ReplicaServiceStub(channel)  # type: ignore[no-untyped-call]
            assert await reason_of(stub, pb.CopyReplicaRequest()) == "NOT_ALLOWED"

    assert "CopyReplica is not allowed to stranger" in caplog.text
