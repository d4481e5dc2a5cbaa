"""The gRPC server's standard services and bounds, on real sockets."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from fabric_jobs.facade.rpc.interceptor import SERVICE
from fabric_jobs.facade.rpc.server import MAX_MESSAGE_BYTES, MAX_STREAMS
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.rpc_kit import serve

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


async def test_health_service_reports_the_readiness_of_the_replica() -> None:
    """The status is the same for the server and for its service. A watch receives each change."""
    ready = False
    async with serve(None, lambda: ready) as rpc:
        running = asyncio.create_task(rpc.health.run())
        async with grpc.aio.insecure_channel(rpc.address) as client, asyncio.timeout(20):
            health: Any = HealthStub(client)
            watch = health.Watch(HealthCheckRequest(service=SERVICE))
            before = await watch.read()
            ready = True
            after = await watch.read()
            checks = [await health.Check(HealthCheckRequest(service=n)) for n in ("", SERVICE)]
            await rpc.drain()
            draining = await watch.read()
            watch.cancel()
        running.cancel()

    assert [answer.status for answer in (before, after, draining)] == [
        NOT_SERVING,
        SERVING,
        NOT_SERVING,
    ]
    assert [answer.status for answer in checks] == [SERVING, SERVING]


async def test_reflection_lists_the_services_and_returns_the_proto_file() -> None:
    """A client can learn the API from the server."""
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as client:
        stub: Any = ServerReflectionStub(client)  # type: ignore[arg-type]
        stream = stub.ServerReflectionInfo()
        await stream.write(ServerReflectionRequest(list_services=""))
        listed: Any = await stream.read()
        await stream.write(ServerReflectionRequest(file_containing_symbol=SERVICE))
        found: Any = await stream.read()
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF

    assert {service.name for service in listed.list_services_response.service} == {
        SERVICE,
        "fabric_jobs.status.v1.ReplicaService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    file = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    assert file.name == pb.DESCRIPTOR.name


async def test_server_refuses_a_message_above_the_bound() -> None:
    """The code is RESOURCE_EXHAUSTED."""
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as client:
        stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListJobs(pb.ListJobsRequest(job_type="x" * MAX_MESSAGE_BYTES))

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_connection_with_the_most_streams_lets_a_further_call_wait_at_the_client() -> None:
    """Other connections are served meanwhile."""
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        serve(None) as rpc,
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
