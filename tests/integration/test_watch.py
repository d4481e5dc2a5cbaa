"""`WatchJobs` on a real socket: with a client that is too slow, and without any event."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.lifecycle import Stamp, decide, fold
from fabric_jobs.facade.log import Checkpoint
from fabric_jobs.facade.replica import Change, Replica, Store, StoredJob
from fabric_jobs.facade.rpc import RpcServer, server, watch_messages, watches
from fabric_jobs.facade.rpc.convert import change_to_proto
from fabric_jobs.facade.rpc.watches import MAX_WATCH_BACKLOG
from fabric_jobs.facade.sealing import Revealed
from fabric_jobs.runtime import channels
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.controls import open_controls
from tests.support.lifecycle import events_of, request
from tests.support.records import record_of
from tests.support.rpc_kit import error_info, no_copies, run_server
from tests.support.sealing import NO_SEALING
from tests.support.store_kit import IDENTITY


class FakeReplica:
    """A replica that has listeners and no jobs; it also stands for the job types."""

    def __init__(self) -> None:
        self.listeners: set[Any] = set()
        self.reset_listeners: set[Any] = set()
        self.controls = open_controls()
        self.secrets = NO_SEALING
        self.clock = Clock()

    async def freshen(self) -> None:
        """Does nothing."""

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The positions in two partitions of the topic."""
        return {2: Checkpoint(17, 16, 0), 3: Checkpoint(0, 0, 0)}

    def apply(self, offset: int) -> None:
        """Tells the listeners that another job was accepted."""
        stamp = Stamp(event_id=f"event {offset}", source="/test", time=datetime.now(UTC))
        event: Any = decide(None, request(str(uuid.uuid4())), stamp)
        _, job = fold(None, event)
        assert job
        change = Change(event, StoredJob(job, 3, offset, 0))
        for listener in tuple(self.listeners):
            listener(change)


#: The client's library pings once a second at most.
PING_MS = 1000
#: Seconds of an idle watch: a server refuses the third ping that comes too soon.
IDLE_S = 5


@asynccontextmanager
async def serve(facade: Any, replica: Replica | None = None) -> AsyncIterator[RpcServer]:
    """A gRPC server with this facade, which stands for the replica too unless one is given."""
    rpc = RpcServer(
        facade, replica or facade, facade, facade, no_copies(), lambda: True, "127.0.0.1", 0, None
    )
    async with run_server(rpc):
        yield rpc


@asynccontextmanager
async def connect(facade: Any, replica: Replica | None = None) -> AsyncIterator[Any]:
    """A client of a server; the arguments are those of `serve`."""
    async with serve(facade, replica) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
        yield JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]


async def read_into(seen: list[int], watch: Any) -> None:
    """Appends the offset of each event's position, until the watch ends."""
    while response := await watch.read():
        seen.append(response.position.offset)


async def test_watch_of_a_client_that_does_not_read_ends_with_the_offset_to_resume_from() -> None:
    """The error names, for each partition, the offset before which no event is missing."""
    replica: Any = FakeReplica()
    async with connect(replica) as stub:
        watch = stub.WatchJobs(pb.WatchJobsRequest())
        await watch.read()
        # gRPC buffers thousands of messages before the service notices that nobody reads.
        for offset in range(5 * MAX_WATCH_BACKLOG):
            replica.apply(offset)
            if offset % 100 == 0:
                await asyncio.sleep(0)
        seen: list[int] = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await read_into(seen, watch)

    info = error_info(raised.value)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "WATCHER_BEHIND"
    assert seen == list(range(1, len(seen) + 1))
    assert dict(info.metadata) == {"offset.2": "17", "offset.3": str(seen[-1])}


@pytest.mark.parametrize("job_id", ["", str(uuid.uuid4())], ids=["of all jobs", "of a lost job"])
async def test_watch_ends_when_the_replica_reads_the_log_from_its_beginning_again(
    job_id: str,
) -> None:
    """The events that the replica then applies again are not sent twice.

    If Kafka has lost the job of a watch, the replica applies no event of it again.
    """
    others: Any = FakeReplica()
    with closing(Store(None)) as store:
        store.adopt(IDENTITY)
        replica = Replica(store, partitions=1)
        event = record_of(events_of([request()])[0])
        async with connect(others, replica) as stub:
            watch = stub.WatchJobs(pb.WatchJobsRequest(job_id=job_id))
            await watch.read()
            replica.apply([event], {0: 1})
            if not job_id:
                assert (await watch.read()).position.offset == 1
            replica.reset()
            replica.apply([event], {0: 1})
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                async with asyncio.timeout(10):
                    await watch.read()

    assert not replica.reset_listeners
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(raised.value).reason == "LOG_UNREACHABLE"


async def test_watch_begins_after_the_replica_has_read_the_log_to_its_end() -> None:
    """The watch has no events that its caller may have got from another replica before."""
    replica: Any = FakeReplica()

    async def freshen() -> None:
        replica.apply(0)

    replica.freshen = freshen
    async with connect(replica) as stub:
        watch = stub.WatchJobs(pb.WatchJobsRequest())
        await watch.read()
        replica.apply(1)
        assert (await watch.read()).position.offset == 2


async def test_watch_ends_once_the_bytes_that_wait_exceed_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few large events fill the memory as much as many small ones."""
    monkeypatch.setattr(watches, "MAX_WATCH_BACKLOG_BYTES", 1000)
    replica: Any = FakeReplica()
    async with connect(replica) as stub:
        watch = stub.WatchJobs(pb.WatchJobsRequest())
        await watch.read()
        for offset in range(100):
            replica.apply(offset)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await read_into([], watch)

    assert error_info(raised.value).reason == "WATCHER_BEHIND"


async def test_watches_of_a_change_share_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of watches that each make a message of their own would block the event loop."""
    made: list[Change] = []

    def make(change: Change, revealed: Revealed) -> pb.WatchJobsResponse:
        made.append(change)
        return change_to_proto(change, revealed)

    monkeypatch.setattr(watch_messages, "change_to_proto", make)
    replica: Any = FakeReplica()
    async with connect(replica) as stub:
        watches = [stub.WatchJobs(pb.WatchJobsRequest()) for _ in range(3)]
        for watch in watches:
            await watch.read()
        for offset in (7, 8):
            replica.apply(offset)
        seen = [[(await watch.read()).position.offset for _ in range(2)] for watch in watches]

    assert seen == [[8, 9]] * 3
    assert len(made) == 2


async def test_watch_above_the_bound_of_a_replica_is_refused_until_another_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what to do."""
    monkeypatch.setattr(watches, "MAX_WATCHES", 1)
    replica: Any = FakeReplica()
    async with connect(replica) as stub:
        without_watches = set(replica.listeners)
        first = stub.WatchJobs(pb.WatchJobsRequest())
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.WatchJobs(pb.WatchJobsRequest()).read()
        first.cancel()
        async with asyncio.timeout(10):
            while replica.listeners != without_watches:
                await asyncio.sleep(0.01)
        await stub.WatchJobs(pb.WatchJobsRequest()).read()

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(raised.value).reason == "TOO_MANY_WATCHES"


async def watch_idle(rpc: RpcServer, ping_ms: int) -> asyncio.Task[Any]:
    """Watches for `IDLE_S` without an event, and returns the read that waits or has failed."""
    options = [
        ("grpc.keepalive_time_ms", ping_ms),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(rpc.address, options) as channel:
        watch = JobStatusServiceStub(channel).WatchJobs(pb.WatchJobsRequest())  # type: ignore[no-untyped-call]
        await watch.read()
        read = asyncio.create_task(watch.read())
        await asyncio.wait({read}, timeout=IDLE_S)
        if read.done():
            return read
        watch.cancel()
        await asyncio.wait({read})
    return read


async def test_idle_watch_outlives_the_pings_that_the_server_accepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same pings end the watch where the server accepts fewer: so the server's option works.

    The server's interval is shortened to half of the client's, as it is in production.
    """
    ends: dict[int, asyncio.Task[Any]] = {}
    for interval_ms in (PING_MS // 2, 100 * PING_MS):
        keepalive = [
            (name, interval_ms if "ping_interval" in name else value)
            for name, value in server.OPTIONS
        ]
        monkeypatch.setattr(server, "OPTIONS", keepalive)
        replica: Any = FakeReplica()
        async with serve(replica) as rpc:
            ends[interval_ms] = await watch_idle(rpc, PING_MS)

    alive, refused = ends.values()
    assert alive.cancelled()
    error: Any = refused.exception()
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "Too many pings")


def test_server_accepts_the_pings_of_this_project_s_clients() -> None:
    """The bound leaves room for a ping that comes early."""
    options = dict(channels.SERVER_KEEPALIVE_OPTIONS)
    bound_ms = options["grpc.http2.min_ping_interval_without_data_ms"]
    assert bound_ms == channels.MIN_PING_INTERVAL_S * 1000
    assert channels.MIN_PING_INTERVAL_S * 2 <= channels.PING_INTERVAL_S
