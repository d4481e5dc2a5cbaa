"""Replaces programs under load: their places, the load, and the jobs that replicas list."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Self

import httpx

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.programs import Fabric, Program, addresses, new_id, status_api

#: Seconds in which Fabric repeats a request, and in which a job may wait for a replacement.
PATIENCE_S = 60
USERS = 12
#: The maximum number of jobs that a user creates.
MAX_JOBS = 500
FINAL = ("Completed", "Failed", "Cancelled")


class Place:
    """A program and its successors, with the same settings and ports."""

    def __init__(
        self, start: Callable[..., AbstractAsyncContextManager[Program]], **settings: str
    ) -> None:
        self._start = start
        self._settings = settings
        self._running: AbstractAsyncContextManager[Program]
        self.program: Program

    async def __aenter__(self) -> Self:
        self._running = self._start(**self._settings)
        self.program = await self._running.__aenter__()
        self._settings |= addresses(self.program)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.__aexit__(None, None, None)

    async def replace(self, **settings: str) -> None:
        """Stop the program by SIGTERM, and start its successor."""
        assert await self.program.stop() == 0
        await self.__aexit__()
        self._settings |= settings
        await self.__aenter__()


class Load:
    """Fabric's users: each creates a job, polls it until it is final, and repeats that."""

    def __init__(self, replicas: Sequence[Fabric], payload: dict[str, Any]) -> None:
        self._replicas = replicas
        self._payload = payload
        self._ended = False
        #: The final status of each accepted job.
        self.ends: dict[str, str] = {}

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Load during the block; afterwards each accepted job is final."""
        async with asyncio.TaskGroup() as users:
            for _ in range(USERS):
                users.create_task(self._use())
            try:
                yield
            finally:
                self._ended = True

    async def _use(self) -> None:
        for _ in range(MAX_JOBS):
            if self._ended:
                return
            job_id = new_id()
            assert (await self._created(job_id)).status_code == 202
            self.ends[job_id] = await self._end_of(job_id)

    async def _created(self, job_id: str) -> httpx.Response:
        return await self._ask(lambda replica: replica.create(job_id, self._payload))

    async def _end_of(self, job_id: str) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self._ask(lambda replica: replica.state(job_id))
                assert answer.status_code == 200
                status: str = answer.json()["status"]
                if status in FINAL:
                    return status
                await asyncio.sleep(0.05)

    async def _ask(
        self, operation: Callable[[Fabric], Awaitable[httpx.Response]]
    ) -> httpx.Response:
        """Send a request, and repeat it as Fabric does while there is no answer or a 503."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(httpx.TransportError):
                    answer = await operation(random.choice(self._replicas))
                    if answer.status_code != 503:
                        return answer
                await asyncio.sleep(0.05)


async def list_jobs(replica: Program) -> dict[str, pb.Job]:
    """All jobs that the replica lists."""
    jobs: dict[str, pb.Job] = {}
    request = pb.ListJobsRequest(page_size=500)
    async with status_api(replica) as status:
        while True:
            page = await status.ListJobs(request)
            jobs |= {job.job_id: job for job in page.jobs}
            if not page.next_page_token:
                return jobs
            request.page_token = page.next_page_token


async def await_equal_jobs(*replicas: Program) -> dict[str, pb.Job]:
    """All jobs, once the replicas list the same jobs; an answer may be a second old."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            first, *others = [await list_jobs(replica) for replica in replicas]
            if all(other == first for other in others):
                return first
            await asyncio.sleep(0.2)
