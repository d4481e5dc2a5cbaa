"""Calls as metrics and as spans."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fabric_jobs.facade.rpc.authorization import SERVICE
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.programs import new_id
from tests.support.rpc_kit import serving
from tests.support.spans import only

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def seen(measured: Callable[[str], list[dict[str, str]]]) -> list[dict[str, str]]:
    """The labels of each measurement."""
    return measured("RPC_SECONDS")


async def called(method: str, request: object) -> grpc.StatusCode:
    """The code of a call's answer, from a facade that nobody has told anything."""
    async with serving(None) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
        stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"),)
        try:
            await getattr(stub, method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("method", "request_", "code", "verdict"),
    [
        ("ListJobs", pb.ListJobsRequest(), "OK", StatusCode.UNSET),
        ("GetJob", pb.GetJobRequest(job_id=new_id()), "NOT_FOUND", StatusCode.UNSET),
        ("CancelJob", pb.CancelJobRequest(job_id=new_id()), "UNKNOWN", StatusCode.ERROR),
    ],
)
async def test_a_call_is_measured_by_its_code_and_a_span_in_the_trace_of_its_caller(
    seen: list[dict[str, str]],
    exported: InMemorySpanExporter,
    method: str,
    request_: object,
    code: str,
    verdict: StatusCode,
) -> None:
    """What the caller did wrong is no error of ours, and what raises is."""
    answer = await called(method, request_)
    span = only(exported)

    assert answer.name == code
    assert seen == [{"method": method, "code": code}]
    assert span.name == f"{SERVICE}/{method}"
    assert span.parent
    assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE_ID} {SPAN_ID}"
    assert span.status.status_code is verdict


async def test_a_probe_is_neither_measured_nor_traced(
    seen: list[dict[str, str]], exported: InMemorySpanExporter
) -> None:
    """It comes every few seconds."""
    async with serving(None) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
        health: Any = HealthStub(channel)
        await health.Check(HealthCheckRequest())

    assert (seen, exported.get_finished_spans()) == ([], ())
