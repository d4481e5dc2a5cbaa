"""Fabric's three operations on running replicas."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.programs import TENANT, Fabric, Program, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSTANCE = f"/workspaces/{new_id()}/items/Test.Item/{new_id()}/jobTypes/quick/instances/{new_id()}"
BODY = '{"invokeType":"Manual"}'


async def test_job_created_on_one_replica_is_found_on_the_other_at_once(
    replicas: tuple[Program, Program],
) -> None:
    """A thousand creates, each polled at once on the other replica, have no miss."""
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:
        places = asyncio.Semaphore(20)

        async def made_and_polled() -> tuple[int, int]:
            async with places:
                here, there = random.sample((one, two), 2)
                job_id = new_id()
                created = await here.create(job_id)
                return created.status_code, (await there.state(job_id)).status_code

        seen = await asyncio.gather(*(made_and_polled() for _ in range(1000)))

    assert set(seen) == {(202, 200)}


async def test_cancel_before_the_start_is_final_on_every_replica(
    replicas: tuple[Program, Program],
) -> None:
    """The job is cancelled at once, on any replica, and a second cancel changes nothing."""
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:
        job_id = new_id()
        await one.create(job_id)
        first, second = await two.cancel(job_id), await one.cancel(job_id)

        assert first.json() == second.json() == (await two.state(job_id)).json()
        assert first.json()["status"] == "Cancelled"
        assert "startTimeUtc" not in first.json()


async def test_job_id_in_upper_case_names_the_same_job(replicas: tuple[Program, Program]) -> None:
    """A job id may arrive in any letter case."""
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:
        job_id = new_id()
        created = await one.create(job_id.upper(), {"a": 1})
        again = await two.create(job_id, {"a": 1})

        assert (created.status_code, again.status_code) == (202, 202)
        assert created.content == b""
        assert (await two.state(job_id.upper())).json() == {"status": "NotStarted"}


async def test_create_with_a_known_id_and_other_content_is_a_conflict(
    replicas: tuple[Program, Program],
) -> None:
    """The same content in another spelling is accepted again; other content is 409."""
    async with httpx.AsyncClient(
        base_url=replicas[0].ready["http"], headers={"x-ms-client-tenant-id": TENANT}
    ) as client:
        first = '{"invokeType":1,"creationPayload":{"a":1,"b":[2]},"unknown":0}'
        same = '{ "creationPayload": {"b": [2], "a": 1}, "invokeType": "Scheduled" }'
        other = '{"invokeType":1,"creationPayload":{"a":1,"b":[3]}}'
        codes = [
            (await client.post(INSTANCE, content=body)).status_code for body in (first, same, other)
        ]

    assert codes == [202, 202, 409]


@pytest.mark.parametrize(
    "other",
    [
        lambda path: path.replace("Test.Item", "Other.Item"),
        lambda path: path.replace("quick", "slow"),
        lambda path: path.replace(path.split("/")[2], new_id()),
        lambda path: path.replace(path.split("/")[5], new_id()),
    ],
    ids=["item type", "job type", "workspace", "item"],
)
async def test_request_by_another_path_to_a_job_gets_404(
    replicas: tuple[Program, Program], other: Callable[[str], str]
) -> None:
    """A mismatch in any part of the path is 404 for reads and cancels, and changes nothing."""
    async with httpx.AsyncClient(
        base_url=replicas[0].ready["http"], headers={"x-ms-client-tenant-id": TENANT}
    ) as client:
        path = INSTANCE[:-36] + new_id()
        await client.post(path, content=BODY)
        found = await client.get(other(path))
        cancelled = await client.post(other(path) + "/cancel")
        tenant = await client.get(path, headers={"x-ms-client-tenant-id": new_id()})

        assert [found.status_code, cancelled.status_code, tenant.status_code] == [404, 404, 404]
        assert {answer.json()["errorCode"] for answer in (found, cancelled, tenant)} == {
            "JobNotFound"
        }
        assert (await client.get(path)).json() == {"status": "NotStarted"}


@pytest.mark.parametrize("invoke_type", ["Manual", "Scheduled", "Later", 0, 1, 2, 77])
async def test_create_accepts_every_invoke_type(
    replicas: tuple[Program, Program], invoke_type: str | int
) -> None:
    """Names, the integers that Fabric has been seen to send, and future values are accepted."""
    async with httpx.AsyncClient(
        base_url=replicas[0].ready["http"], headers={"x-ms-client-tenant-id": TENANT}
    ) as client:
        path = INSTANCE[:-36] + new_id()

        assert (await client.post(path, json={"invokeType": invoke_type})).status_code == 202


_BAD: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "no JSON": ("POST", INSTANCE, {"content": "{"}, 400),
    "no object": ("POST", INSTANCE, {"content": "[]"}, 400),
    "no body": ("POST", INSTANCE, {}, 400),
    "no invokeType": ("POST", INSTANCE, {"content": "{}"}, 400),
    "invokeType of a wrong type": ("POST", INSTANCE, {"content": '{"invokeType":[]}'}, 400),
    "payload of a wrong type": (
        "POST",
        INSTANCE,
        {"content": '{"invokeType":1,"creationPayload":[1]}'},
        400,
    ),
    "too deep": (
        "POST",
        INSTANCE,
        {"content": '{"invokeType":1,"creationPayload":' + "[" * 100_000},
        400,
    ),
    "no UTF-8": (
        "POST",
        INSTANCE,
        {"content": b'{"invokeType":1,"creationPayload":{"a":"\xff"}}'},
        400,
    ),
    "too large": ("POST", INSTANCE, {"content": "x" * 300_000}, 413),
    "no GUID": ("GET", INSTANCE[:-1] + "z", {}, 400),
    "long item type": ("GET", INSTANCE.replace("Test.Item", "x" * 65), {}, 400),
    "long job type": ("GET", INSTANCE.replace("quick", "x" * 97), {}, 400),
    "unknown route": ("GET", "/workspaces", {}, 404),
    "unknown method": ("DELETE", INSTANCE, {}, 405),
    "tenant that is no GUID": (
        "GET",
        INSTANCE,
        {"headers": {"x-ms-client-tenant-id": "contoso"}},
        401,
    ),
}


@pytest.mark.parametrize(("method", "path", "extra", "status"), _BAD.values(), ids=_BAD.keys())
async def test_bad_request_gets_fabrics_error_response(
    replicas: tuple[Program, Program], method: str, path: str, extra: dict[str, Any], status: int
) -> None:
    """The answer has a fitting status, a code, a message that says what to do, and a source."""
    async with httpx.AsyncClient(
        base_url=replicas[0].ready["http"], headers={"x-ms-client-tenant-id": TENANT}
    ) as client:
        answer = await client.request(method, path, **extra)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"errorCode", "message", "source", "isPermanent"}
    assert "Traceback" not in answer.text
