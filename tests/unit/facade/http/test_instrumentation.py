"""Requests as metrics and as spans; the probes' answers."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest
from litestar.testing import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fabric_jobs.facade.http import AdmissionControl, AdmissionRules, Operations, http_app
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Request
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.observability.health import ReplicaHealth
from tests.support.spans import only

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


class Away:
    """Jobs of a log that can't be reached; they remember what was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def known(self, job_id: str) -> bool:
        """None is."""
        return False

    async def read(self, job_id: str) -> None:
        """There is no such job."""

    async def execute(self, command: Any) -> None:
        """The outcome is unknown."""
        self.asked.append(command)
        raise LogUnavailableError("The log is away.")


class Sick(ReplicaHealth):
    """A replica with a state of the test's own."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = reasons

    def unready(self, fresh_s: float = 0) -> tuple[str, ...]:
        """What the test says."""
        return self._reasons

    dead = unready


def client(jobs: Away, health: ReplicaHealth) -> TestClient[Any]:
    """A client of the application."""
    operations = Operations(
        cast("Jobs", jobs), AdmissionControl(None, AdmissionRules(), lambda *_: True)
    )
    return TestClient(http_app(operations, "/base", 1024, health, docs=False))


@pytest.fixture
def seen(measured: Callable[[str], list[dict[str, str]]]) -> list[dict[str, str]]:
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
def test_a_request_is_measured_by_its_operation_and_status(
    seen: list[dict[str, str]], method: str, path: str, operation: str, status: str
) -> None:
    """Whatever its path holds: labels are bounded."""
    body = {"invokeType": "Manual"} if method == "POST" else None
    client(Away(), Sick()).request(method, path, headers=HEADERS, json=body)

    assert seen == [{"operation": operation, "status": status}]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_a_probe_is_neither_measured_nor_traced(
    seen: list[dict[str, str]], exported: InMemorySpanExporter, path: str
) -> None:
    """It comes every few seconds, and is no request of Fabric's."""
    answer = client(Away(), Sick()).get(path)

    assert answer.status_code == 200
    assert (seen, exported.get_finished_spans()) == ([], ())


def test_a_request_is_a_span_by_its_route_in_the_trace_of_its_caller(
    exported: InMemorySpanExporter,
) -> None:
    """With its status and Fabric's ids; a 4xx is no error of ours."""
    client(Away(), Sick()).get(PATH, headers=HEADERS)
    span = only(exported)
    attributes = span.attributes or {}

    assert span.name == f"GET {ROUTE}"
    assert span.parent
    assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE_ID} {SPAN_ID}"
    assert (attributes["http.route"], attributes["url.path"]) == (ROUTE, PATH)
    assert attributes["http.response.status_code"] == 404
    assert attributes["fabric.ActivityId"] == "the activity"
    assert span.status.status_code is StatusCode.UNSET


def test_a_5xx_is_an_error(exported: InMemorySpanExporter) -> None:
    """Of the span, too."""
    client(Away(), Sick()).post(PATH, headers=HEADERS, json={"invokeType": "Manual"})

    assert only(exported).status.status_code is StatusCode.ERROR


def test_a_job_s_context_is_that_of_the_request_s_span(exported: InMemorySpanExporter) -> None:
    """So that what is done for the job stands within the request that created it."""
    jobs = Away()
    client(jobs, Sick()).post(PATH, headers=HEADERS, json={"invokeType": "Manual"})
    (command,) = jobs.asked

    assert isinstance(command, Request)
    assert command.traceparent == f"00-{TRACE_ID}-{only(exported).context.span_id:016x}-01"


@pytest.mark.parametrize(
    ("sent", "kept"), [(HEADERS["traceparent"], HEADERS["traceparent"]), ("00-not-one", None)]
)
def test_where_tracing_is_off_a_job_s_context_is_its_request_s(sent: str, kept: str | None) -> None:
    """As it came; what is none is dropped."""
    jobs = Away()
    headers = HEADERS | {"traceparent": sent}
    client(jobs, Sick()).post(PATH, headers=headers, json={"invokeType": "Manual"})

    assert jobs.asked[0].traceparent == kept


@pytest.mark.parametrize("probe", ["/livez", "/readyz"])
def test_a_probe_says_what_is_wrong(probe: str) -> None:
    """503, with all reasons."""
    answer = client(Away(), Sick("the tail has ended", "and more")).get(probe)

    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "reasons": ["the tail has ended", "and more"]}


def test_metrics_are_in_the_form_that_every_prometheus_reads() -> None:
    """With those of the process."""
    answer = client(Away(), Sick()).get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE process_resident_memory_bytes gauge" in answer.text
