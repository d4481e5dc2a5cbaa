"""The metrics and spans of gRPC calls."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fabric_jobs.facade.rpc.interceptor import SERVICE
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.programs import new_id
from tests.support.rpc_kit import serve
from tests.support.spans import only_span

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def labels(measured: Callable[[str], list[dict[str, str]]]) -> list[dict[str, str]]:
    """Returns the labels of each measurement."""
    return measured("RPC_SECONDS")


async def call(method: str, request: object) -> grpc.StatusCode:
    """Calls a facade without jobs. Returns the code of the answer."""
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
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
async def test_unary_call_is_measured_by_method_and_code_and_has_a_span_in_the_callers_trace(
    labels: list[dict[str, str]],
    exported: InMemorySpanExporter,
    method: str,
    request_: object,
    code: str,
    verdict: StatusCode,
) -> None:
    """The span is an error if the service fails, not if the caller made the error."""
    answer = await call(method, request_)
    span = only_span(exported)

    assert answer.name == code
    assert labels == [{"method": method, "code": code}]
    assert span.name == f"{SERVICE}/{method}"
    assert span.parent
    assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE_ID} {SPAN_ID}"
    assert span.status.status_code is verdict


async def test_health_check_is_neither_measured_nor_traced(
    labels: list[dict[str, str]], exported: InMemorySpanExporter
) -> None:
    """Load balancers check every few seconds."""
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
        health: Any = HealthStub(channel)
        await health.Check(HealthCheckRequest())

    assert (labels, exported.get_finished_spans()) == ([], ())
