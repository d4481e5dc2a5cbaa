"""`WatchJobs` on a real socket, with a client that is too slow."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from fabric_jobs.facade.lifecycle import Stamp, decide, fold
from fabric_jobs.facade.replica import Change, StoredJob
from fabric_jobs.facade.rpc import RpcServer, service
from fabric_jobs.facade.rpc.service import MAX_WATCH_BACKLOG
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.lifecycle import request
from tests.support.rpc_kit import error_info


class FakeReplica:
    """A replica that has listeners and no jobs."""

    def __init__(self) -> None:
        self.listeners: set[Any] = set()

    def apply(self, offset: int) -> None:
        """Tells the listeners that another job was accepted."""
        stamp = Stamp(event_id=f"event {offset}", source="/test", time=datetime.now(UTC))
        event: Any = decide(None, request(str(uuid.uuid4())), stamp)
        _, job = fold(None, event)
        assert job
        for listener in tuple(self.listeners):
            listener(Change(event, StoredJob(job, 3, offset, 0)))


async def read_into(seen: list[int], watch: Any) -> None:
    """Appends the offset of each event's position, until the watch ends."""
    while response := await watch.read():
        seen.append(response.position.offset)


async def test_watch_of_a_client_that_does_not_read_ends_with_the_offset_to_resume_from() -> None:
    """The error names the offset after the last event sent. No event before it is missing."""
    replica: Any = FakeReplica()
    rpc = RpcServer(replica, replica, replica, lambda: True, "127.0.0.1", 0, None)
    await rpc.start()
    try:
        async with grpc.aio.insecure_channel(rpc.address) as channel:
            stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
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
    finally:
        await rpc.stop()

    info = error_info(raised.value)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "WATCHER_BEHIND"
    assert seen == list(range(1, len(seen) + 1))
    assert dict(info.metadata) == {"offset.3": str(seen[-1])}


async def test_watch_ends_once_the_bytes_that_wait_exceed_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few large events fill the memory as much as many small ones."""
    monkeypatch.setattr(service, "MAX_WATCH_BACKLOG_BYTES", 1000)
    replica: Any = FakeReplica()
    rpc = RpcServer(replica, replica, replica, lambda: True, "127.0.0.1", 0, None)
    await rpc.start()
    try:
        async with grpc.aio.insecure_channel(rpc.address) as channel:
            stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
            watch = stub.WatchJobs(pb.WatchJobsRequest())
            await watch.read()
            for offset in range(100):
                replica.apply(offset)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await read_into([], watch)
    finally:
        await rpc.stop()

    assert error_info(raised.value).reason == "WATCHER_BEHIND"


async def test_watch_above_the_bound_of_a_replica_is_refused_until_another_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what to do."""
    monkeypatch.setattr(service, "MAX_WATCHES", 1)
    replica: Any = FakeReplica()
    rpc = RpcServer(replica, replica, replica, lambda: True, "127.0.0.1", 0, None)
    await rpc.start()
    try:
        async with grpc.aio.insecure_channel(rpc.address) as channel:
            stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
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
    finally:
        await rpc.stop()

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(raised.value).reason == "TOO_MANY_WATCHES"
