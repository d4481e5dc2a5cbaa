"""The standard services and the bounds of the gRPC server, over real sockets."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from fabric_jobs.facade.rpc.authorization import SERVICE
from fabric_jobs.facade.rpc.server import MAX_MESSAGE_BYTES, MAX_STREAMS
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.rpc_kit import serving

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


async def test_health_follows_readiness() -> None:
    """For the server and for its service, and whoever watches is told."""
    ready = False
    async with serving(None, lambda: ready) as rpc:
        running = asyncio.create_task(rpc.health.run())
        async with grpc.aio.insecure_channel(rpc.address) as client, asyncio.timeout(20):
            health: Any = HealthStub(client)
            watch = health.Watch(HealthCheckRequest(service=SERVICE))
            before = await watch.read()
            ready = True
            after = await watch.read()
            checked = [await health.Check(HealthCheckRequest(service=n)) for n in ("", SERVICE)]
            await rpc.drain()
            draining = await watch.read()
            watch.cancel()
        running.cancel()

    assert [answer.status for answer in (before, after, draining)] == [
        NOT_SERVING,
        SERVING,
        NOT_SERVING,
    ]
    assert [answer.status for answer in checked] == [SERVING, SERVING]


async def test_the_api_is_learnt_by_reflection() -> None:
    """The service is listed, and the file that describes it is the .proto's."""
    async with serving(None) as rpc, grpc.aio.insecure_channel(rpc.address) as client:
        stub: Any = ServerReflectionStub(client)  # type: ignore[arg-type]
        asking = stub.ServerReflectionInfo()
        await asking.write(ServerReflectionRequest(list_services=""))
        listed: Any = await asking.read()
        await asking.write(ServerReflectionRequest(file_containing_symbol=SERVICE))
        found: Any = await asking.read()
        await asking.done_writing()
        assert await asking.read() is grpc.aio.EOF

    assert {service.name for service in listed.list_services_response.service} == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    file = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    assert file.name == pb.DESCRIPTOR.name


async def test_a_message_above_the_bound_is_refused() -> None:
    """With a code that tells, before it is read."""
    async with serving(None) as rpc, grpc.aio.insecure_channel(rpc.address) as client:
        stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListJobs(pb.ListJobsRequest(job_type="x" * MAX_MESSAGE_BYTES))

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_connection_has_so_many_streams_at_a_time() -> None:
    """One more waits at the client, while other connections are answered."""
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        serving(None) as rpc,
        asyncio.timeout(30),
        grpc.aio.insecure_channel(rpc.address) as client,
        grpc.aio.insecure_channel(rpc.address, own_connection) as other_client,
    ):
        stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
        other = JobStatusServiceStub(other_client)  # type: ignore[no-untyped-call]
        watches = [stub.WatchJobs(pb.WatchJobsRequest()) for _ in range(MAX_STREAMS)]
        await asyncio.gather(*(watch.read() for watch in watches))
        one_more = asyncio.ensure_future(stub.ListJobs(pb.ListJobsRequest()))
        for _ in range(10):
            await other.ListJobs(pb.ListJobsRequest())

        assert not one_more.done()
