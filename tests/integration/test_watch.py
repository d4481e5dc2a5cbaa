"""Watching over a real socket: a reader that falls behind."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.facade.lifecycle import Stamp, decide, fold
from fabric_jobs.facade.replica import Change, StoredJob
from fabric_jobs.facade.rpc import RpcServer
from fabric_jobs.facade.rpc.service import WATCH_BUFFER
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.integration.test_replica import request


class Changes:
    """A replica that only has listeners."""

    def __init__(self) -> None:
        self.listeners: set[Any] = set()

    def apply(self, offset: int) -> None:
        """Another job was accepted."""
        stamp = Stamp(event_id=f"event {offset}", source="/test", time=datetime.now(UTC))
        event: Any = decide(None, request(), stamp)
        _, job = fold(None, event)
        assert job
        for listener in tuple(self.listeners):
            listener(Change(event, StoredJob(job, 3, offset, 0)))


async def read_into(seen: list[int], watch: Any) -> None:
    """Reads the positions of events until the watch ends."""
    while response := await watch.read():
        seen.append(response.position.offset)


async def test_a_watcher_that_does_not_read_is_cut_with_a_word_where_to_resume() -> None:
    """The error names the offset after the last event that was sent; what was sent is complete."""
    replica: Any = Changes()
    rpc = RpcServer(replica, replica, replica, lambda: True, "127.0.0.1", 0, None)
    await rpc.start()
    try:
        async with grpc.aio.insecure_channel(rpc.address) as channel:
            stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
            watch = stub.WatchJobs(pb.WatchJobsRequest())
            await watch.read()
            # gRPC holds some thousands itself before the service sees that nobody reads.
            for offset in range(5 * WATCH_BUFFER):
                replica.apply(offset)
                if offset % 100 == 0:
                    await asyncio.sleep(0)
            seen: list[int] = []
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await read_into(seen, watch)
    finally:
        await rpc.stop()

    status, info = Status(), ErrorInfo()
    metadata = raised.value.trailing_metadata()
    assert metadata is not None
    status.ParseFromString(dict(metadata)["grpc-status-details-bin"])
    status.details[0].Unpack(info)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "WATCHER_BEHIND"
    assert seen == list(range(1, len(seen) + 1))
    assert dict(info.metadata) == {"offset.3": str(seen[-1])}
