"""Requests as metrics and as spans; the answers of the probes."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest
from litestar.testing import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fabric_jobs.facade.http import AdmissionControl, AdmissionRules, Operations, http_app
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Request
from fabric_jobs.facade.observability.health import ReplicaHealth
from tests.support.sealing import NO_SEALING
from tests.support.spans import only_span

ONE = UUID(int=1)
PATH = f"/base/workspaces/{ONE}/items/A.Item/{ONE}/jobTypes/quick/instances/{ONE}"
ROUTE = (
    "/base/workspaces/{workspaceId}/items/{itemType}/{itemId}"
    "/jobTypes/{jobType}/instances/{jobInstanceId}"
)
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {
    "x-ms-client-tenant-id": str(ONE),
    "ActivityId": "the activity",
    "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
}


#: A name of this machine, as authentication is off.
LOCAL = "http://127.0.0.1"


class AwayJobs:
    """Jobs over a log that can't be reached; they keep each command."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.secrets = NO_SEALING

    def is_known(self, job_id: str) -> bool:
        """No job is known."""
        return False

    async def read(self, job_id: str) -> None:
        """No job is found."""

    async def find(self, job_id: str) -> None:
        """No job is found."""

    async def execute(self, command: Any) -> None:
        """Keeps the command."""
        self.commands.append(command)
        raise UnavailableError(UnavailableReason.LOG_UNREACHABLE, "Kafka is away.")


class FakeHealth(ReplicaHealth):
    """A replica's health with these reasons against it."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = reasons

    def unready_reasons(self, fresh_s: float = 0) -> tuple[str, ...]:
        """The reasons."""
        return self._reasons

    failures = unready_reasons


def client(jobs: AwayJobs, health: ReplicaHealth) -> TestClient[Any]:
    """A client of the application over these jobs."""
    operations = Operations(
        cast("Jobs", jobs), AdmissionControl(None, AdmissionRules(), lambda *_: True)
    )
    return TestClient(http_app(operations, "/base", 1024, 1024, health, docs=False), LOCAL)


@pytest.fixture
def labels(measured: Callable[[str], list[dict[str, str]]]) -> list[dict[str, str]]:
    """The labels of each measurement."""
    return measured("REQUEST_SECONDS")


@pytest.mark.parametrize(
    ("method", "path", "operation", "status"),
    [
        ("POST", PATH, "Jobs_CreateItemJobInstance", "503"),
        ("GET", PATH, "Jobs_GetItemJobInstanceState", "404"),
        ("POST", f"{PATH}/cancel", "Jobs_CancelItemJobInstance", "404"),
        ("GET", "/elsewhere", "none", "404"),
        ("DELETE", PATH, "none", "405"),
    ],
)
def test_instrument_request_is_measured_by_operation_and_status(
    labels: list[dict[str, str]], method: str, path: str, operation: str, status: str
) -> None:
    """A request that reaches no operation has the label `none`, so labels are bounded."""
    body = {"invokeType": "Manual"} if method == "POST" else None
    client(AwayJobs(), FakeHealth()).request(method, path, headers=HEADERS, json=body)

    assert labels == [{"operation": operation, "status": status}]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_instrument_probe_is_neither_measured_nor_traced(
    labels: list[dict[str, str]], exported: InMemorySpanExporter, path: str
) -> None:
    """An orchestrator sends probes every few seconds."""
    answer = client(AwayJobs(), FakeHealth()).get(path)

    assert answer.status_code == 200
    assert (labels, exported.get_finished_spans()) == ([], ())


def test_instrument_request_is_a_span_of_its_route_in_the_caller_s_trace(
    exported: InMemorySpanExporter,
) -> None:
    """The span has the status and Fabric's ids. A 4xx status is no error of a server span."""
    client(AwayJobs(), FakeHealth()).get(PATH, headers=HEADERS)
    span = only_span(exported)
    attributes = span.attributes or {}

    assert span.name == f"GET {ROUTE}"
    assert span.parent
    assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE_ID} {SPAN_ID}"
    assert (attributes["http.route"], attributes["url.path"]) == (ROUTE, PATH)
    assert attributes["http.response.status_code"] == 404
    assert attributes["fabric.ActivityId"] == "the activity"
    assert span.status.status_code is StatusCode.UNSET


def test_instrument_5xx_answer_makes_the_span_an_error(exported: InMemorySpanExporter) -> None:
    """A 5xx status is the server's own fault."""
    client(AwayJobs(), FakeHealth()).post(PATH, headers=HEADERS, json={"invokeType": "Manual"})

    assert only_span(exported).status.status_code is StatusCode.ERROR


def test_create_tracing_on_passes_the_span_of_the_request_to_the_job(
    exported: InMemorySpanExporter,
) -> None:
    """Every later span of the job lies within the request that created it."""
    jobs = AwayJobs()
    client(jobs, FakeHealth()).post(PATH, headers=HEADERS, json={"invokeType": "Manual"})
    (command,) = jobs.commands

    assert isinstance(command, Request)
    assert command.traceparent == f"00-{TRACE_ID}-{only_span(exported).context.span_id:016x}-01"


@pytest.mark.parametrize(
    ("sent", "kept"), [(HEADERS["traceparent"], HEADERS["traceparent"]), ("00-not-one", None)]
)
def test_create_tracing_off_passes_the_traceparent_of_the_request_to_the_job(
    sent: str, kept: str | None
) -> None:
    """A malformed traceparent is dropped."""
    jobs = AwayJobs()
    headers = HEADERS | {"traceparent": sent}
    client(jobs, FakeHealth()).post(PATH, headers=headers, json={"invokeType": "Manual"})

    assert jobs.commands[0].traceparent == kept


@pytest.mark.parametrize("probe", ["/livez", "/readyz"])
def test_probe_something_wrong_is_503_with_every_reason(probe: str) -> None:
    """The reasons are in the body."""
    answer = client(AwayJobs(), FakeHealth("the log is away", "and more")).get(probe)

    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "reasons": ["the log is away", "and more"]}


def test_metrics_endpoint_has_prometheus_text_format_with_process_metrics() -> None:
    """Version 0.0.4 is the one that every Prometheus reads."""
    answer = client(AwayJobs(), FakeHealth()).get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE process_resident_memory_bytes gauge" in answer.text
