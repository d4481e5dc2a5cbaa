"""Creates and polls of jobs, as fast as they are answered, and what became of each."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from msgspec import Struct

BASE = "http://127.0.0.1:5000/workload"
PATH = "workspaces/{0}/items/Contoso.FinanceAnalytics.Forecast/{0}/jobTypes/calculateForecast"
WORKERS = 8
POLLS = 10
PAUSE_S = 0.1
FINAL = {"Completed", "Failed", "Cancelled"}


class Request(Struct, frozen=True):
    """One request: its times by the monotonic clock, its status, and why there is none."""

    began: float
    ended: float
    verb: str
    status: int
    error: str = ""

    @property
    def failed(self) -> bool:
        """The caller got no answer, or one that asks for a repetition."""
        return self.status == 0 or self.status >= 500


class Load:
    """Eight callers; each creates a job, polls it for a second, and goes on with another."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.created: list[str] = []
        self._client = httpx.AsyncClient(
            base_url=f"{BASE}/{PATH.format(uuid.UUID(int=1))}/instances/",
            headers={"x-ms-client-tenant-id": str(uuid.UUID(int=1))},
            timeout=30,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The callers call until the end of the block."""
        callers = [asyncio.create_task(self._call()) for _ in range(WORKERS)]
        try:
            await self.answered(50)
            yield
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)
        for caller in callers:
            with suppress(asyncio.CancelledError):
                caller.result()

    async def answered(self, more: int) -> None:
        """Returns once so many more requests have succeeded."""
        wanted = self._succeeded() + more
        async with asyncio.timeout(60):
            while self._succeeded() < wanted:
                await asyncio.sleep(0.02)

    def failures(self) -> list[Request]:
        """The requests that failed."""
        return [request for request in self.requests if request.failed]

    async def await_end_of_jobs(self) -> dict[str, int]:
        """Returns once each job that was accepted has ended: how many ended in which status."""
        ended: dict[str, int] = {}
        async with asyncio.timeout(120):
            for job in self.created:
                while (status := await self._status(job)) not in FINAL:
                    await asyncio.sleep(0.2)
                ended[status] = ended.get(status, 0) + 1
        return ended

    async def close(self) -> None:
        """Ends the connections."""
        await self._client.aclose()

    def _succeeded(self) -> int:
        return len(self.requests) - len(self.failures())

    async def _call(self) -> None:
        while True:
            job = str(uuid.uuid4())
            created = await self._send("POST", job)
            if created and created.status_code == 202:
                self.created.append(job)
            for _ in range(POLLS):
                await asyncio.sleep(PAUSE_S)
                if created and created.status_code == 202:
                    await self._send("GET", job)

    async def _status(self, job: str) -> str:
        answer = await self._client.get(job)
        status: str = answer.json().get("status", str(answer.status_code))
        return status

    async def _send(self, verb: str, job: str) -> httpx.Response | None:
        body = (
            {"invokeType": "Manual", "creationPayload": {"priority": "high"}}
            if verb == "POST"
            else None
        )
        began = time.monotonic()
        try:
            answer = await self._client.request(verb, job, json=body)
        except httpx.HTTPError as error:
            self.requests.append(Request(began, time.monotonic(), verb, 0, repr(error)))
            return None
        self.requests.append(Request(began, time.monotonic(), verb, answer.status_code))
        return answer
