"""Fabric's three operations on a replica, each recorded in the history."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Literal

import httpx

from tests.chaos.handlers import ITEM_TYPE
from tests.chaos.history import UNKNOWN, History, Operation
from tests.support.programs import TENANT

_BODY = b'{"invokeType":"Manual","creationPayload":{"chaos":true}}'


class Client:
    """Calls replicas by number. It never raises: a missing answer is recorded as code 0."""

    def __init__(self, urls: Sequence[str], history: History) -> None:
        self._history = history
        self._clients = [
            httpx.AsyncClient(
                base_url=url,
                headers={"x-ms-client-tenant-id": TENANT},
                timeout=None,  # each request has its own timeout
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=50),
                trust_env=False,
            )
            for url in urls
        ]

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    async def create(self, job: str, kind: str, replica: int, within_s: float) -> Operation:
        """Create a job instance."""
        self._history.kinds[job] = kind
        return await self._ask("create", job, replica, within_s)

    async def poll(self, job: str, replica: int, within_s: float) -> Operation:
        """Read the job's state."""
        return await self._ask("poll", job, replica, within_s)

    async def cancel(self, job: str, replica: int, within_s: float) -> Operation:
        """Cancel the job."""
        return await self._ask("cancel", job, replica, within_s)

    async def _ask(
        self,
        what: Literal["create", "poll", "cancel"],
        job: str,
        replica: int,
        within_s: float,
    ) -> Operation:
        path = (
            f"/workspaces/{uuid.UUID(int=1)}/items/{ITEM_TYPE}/{uuid.UUID(int=2)}"
            f"/jobTypes/{self._history.kinds[job]}/instances/{job}"
        )
        client, start = self._clients[replica], time.monotonic()
        end, code, body = UNKNOWN, 0, ""
        try:
            async with asyncio.timeout(within_s):
                match what:
                    case "create":
                        answer = await client.post(path, content=_BODY)
                    case "poll":
                        answer = await client.get(path)
                    case "cancel":
                        answer = await client.post(f"{path}/cancel")
            end, code, body = time.monotonic(), answer.status_code, answer.text
        except (httpx.TransportError, TimeoutError):
            pass
        operation = Operation(
            job=job, what=what, replica=replica, start=start, end=end, code=code, body=body
        )
        self._history.operations.append(operation)
        return operation
