"""The client of the facade's HTTP API."""

import json
from collections.abc import Callable
from uuid import UUID

import httpx
import pytest
from msgspec import Raw

from fabric_jobs.cli.clients.fabric import (
    Fabric,
    FabricError,
    JobInstance,
    UnavailableError,
    base_url,
    error_line,
)
from fabric_jobs.cli.clients.identity import DEVELOPMENT_TENANT, TenantOnly
from fabric_jobs.cli.errors import InputError
from fabric_jobs.contract.jobs import JobInstanceStatus

JOB = JobInstance(
    item_type="Contoso.Item",
    job_type="calculate/it",
    workspace_id="w",
    item_id="i",
    job_id="j",
)
PATH = "/workload/workspaces/w/items/Contoso.Item/i/jobTypes/calculate%2Fit/instances/j"


def fabric(answer: Callable[[httpx.Request], httpx.Response]) -> Fabric:
    """A client whose requests are answered by the function."""
    url, transport = "http://127.0.0.1:5000/workload/", httpx.MockTransport(answer)
    return Fabric(url, TenantOnly(DEVELOPMENT_TENANT), transport)


async def test_create_sends_the_request_of_fabric_s_contract() -> None:
    """Path, headers and body are those of the Workload Development Kit."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(202)

    async with fabric(answer) as client:
        await client.create(JOB, Raw(b'{"priority": "high"}'))
        await client.create(JOB)

    one, two = requests
    assert (one.method, one.url.raw_path.decode()) == ("POST", PATH)
    assert json.loads(one.content) == {
        "invokeType": "Manual",
        "creationPayload": {"priority": "high"},
    }
    assert json.loads(two.content) == {"invokeType": "Manual"}
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["x-ms-client-tenant-id"] == DEVELOPMENT_TENANT
    assert UUID(one.headers["ActivityId"]) == UUID(two.headers["ActivityId"])
    assert UUID(one.headers["RequestId"]) != UUID(two.headers["RequestId"])


async def test_state_is_decoded() -> None:
    """An absent time is None."""
    body = {"status": "InProgress", "startTimeUtc": "2026-01-01T00:00:00Z"}
    async with fabric(lambda request: httpx.Response(200, json=body)) as client:
        state = await client.state(JOB)

    assert state.status is JobInstanceStatus.IN_PROGRESS
    assert state.start_time_utc is not None
    assert state.end_time_utc is None
    assert not state.final


async def test_refusal_is_one_line() -> None:
    """The line has the HTTP status, the error code and the message."""
    body = {"errorCode": "JobConflict", "message": "It exists.\nElse.", "source": "User"}
    async with fabric(lambda request: httpx.Response(409, json=body)) as client:
        with pytest.raises(FabricError) as raised:
            await client.create(JOB)

    assert raised.value.message == "409 JobConflict: It exists. Else."


async def test_create_with_an_unknown_outcome_names_the_id_for_the_next_try() -> None:
    """After 503 the job may still start, and a second try with its id starts no second job."""
    body = {"errorCode": "Unavailable", "message": "Later.", "source": "System"}
    async with fabric(lambda request: httpx.Response(503, json=body)) as client:
        with pytest.raises(UnavailableError, match=r"503 Unavailable: Later\. .* --job-id j\."):
            await client.create(JOB)


async def test_states_go_on_after_an_answer_503() -> None:
    """A facade can restart while a job runs."""
    unavailable = httpx.Response(503)
    answers = [
        httpx.Response(200, json={"status": "NotStarted"}),
        unavailable,
        httpx.Response(200, json={"status": "Completed"}),
    ]
    async with fabric(lambda request: answers.pop(0)) as client:
        seen = [state.status async for state in client.states(JOB, every_s=0)]

    assert seen == [JobInstanceStatus.NOT_STARTED, JobInstanceStatus.COMPLETED]


@pytest.mark.parametrize("status", [200, 404])
async def test_answer_that_is_not_in_the_contract_raises_an_error(status: int) -> None:
    """Another server may use the port."""
    async with fabric(lambda request: httpx.Response(status, text="<html>")) as client:
        with pytest.raises(FabricError):
            await client.state(JOB)


def test_error_line_of_another_body_has_its_beginning() -> None:
    """An empty body is named as such."""
    assert error_line(b"<html>") == "with no ErrorResponse: <html>"
    assert error_line(b"") == "with no ErrorResponse: an empty body"


@pytest.mark.parametrize(
    "url", ["", "x", "127.0.0.1:5000", "ftp://x/", "http://", "http://h:port", "http://h:65536"]
)
def test_text_that_is_no_http_url_is_refused(url: str) -> None:
    """Nothing is sent."""
    with pytest.raises(InputError):
        base_url(url)
