"""An item's definition in a request of the remote-jobs family, from HTTP to the handler."""

import base64
import uuid
from typing import Any

import httpx
import pytest

from tests.support.programs import TENANT, Program, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = f"/workspaces/{uuid.UUID(int=1)}/items/Test.Item/{uuid.UUID(int=2)}/jobs/"


def definition_of(content: bytes) -> dict[str, Any]:
    """A definition of one part with this content."""
    payload = base64.b64encode(content).decode()
    return {"parts": [{"path": "a.txt", "payload": payload, "payloadType": "InlineBase64"}]}


async def test_definition_reaches_the_handler_and_is_part_of_the_content(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """A repeated create is a success; with another definition, or with none, it is a conflict."""
    content = b"x" * 300_000
    names = {"jobType": "definition-size", "jobInstanceId": new_id()}
    create = names | {"definition": definition_of(content)}
    async with httpx.AsyncClient(
        base_url=replicas[0].ready["http"], headers={"x-ms-client-tenant-id": TENANT}, timeout=30
    ) as client:

        async def post(operation: str, body: dict[str, Any]) -> httpx.Response:
            return await client.post(PATH + operation, json=body)

        made = await post("onCreateJobInstance", create)
        assert made.status_code == 201, made.text
        assert (await post("OnCreateJobInstance", create)).status_code == 201
        for other in (names, names | {"definition": definition_of(b"y")}):
            assert (await post("onCreateJobInstance", other)).status_code == 409
        state: dict[str, Any] = {}
        while state.get("status") not in ("Completed", "Failed"):
            # The state's body may be as large as the create's, and what it says is ignored.
            answer = await post("onGetJobInstanceStatus", create | {"executionData": "x"})
            assert answer.status_code == 200, answer.text
            state = answer.json()

    assert state["errorDetails"]["message"] == "a.txt 300000"
