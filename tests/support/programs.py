"""Runs the programs as their users do, by command and environment, and calls their public APIs."""

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import grpc
import httpx
from msgspec import Struct

from fabric_jobs.status.v1 import job_status_pb2_grpc

#: Seconds that a program may take to be ready, and a handler to begin, on a busy machine.
READY_S = 60
TENANT = "11111111-1111-1111-1111-111111111111"
PARTITIONS = 4
#: The module and executor with the handlers of most tests.
HANDLERS = "tests.support.handlers:executor"


class Program(Struct):
    """A running program, with the fields of its ready line."""

    process: Process
    ready: dict[str, str]

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Send SIGTERM as an orchestrator does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def program(
    *command: str,
    environment: dict[str, str],
    stderr: IO[bytes] | None = None,
    ready_s: float = READY_S,
) -> AsyncIterator[Program]:
    """Run a program from its ready line to the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=PIPE, stderr=stderr
    )
    try:
        assert process.stdout
        async with asyncio.timeout(ready_s):
            line = (await process.stdout.readline()).decode()
        words = line.split()
        assert words[1:2] == ["ready"], f"{command}: {line!r}"
        yield Program(process, dict(word.split("=", 1) for word in words[2:]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def facade(
    module: str = "fabric_jobs.facade", *, log_file: str = "", **environment: str
) -> AsyncIterator[Program]:
    """Run a facade replica: by default on free ports, and without an unready time at its stop."""
    defaults = {
        "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_CREATE_TOPICS": "true",
        "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
        "FABRIC_JOBS_UNREADY_S": "0",
    }
    command = (sys.executable, "-m", module)
    with _open_log(log_file) as stderr:
        async with program(*command, environment=defaults | environment, stderr=stderr) as running:
            yield running


@asynccontextmanager
async def executor(
    module: str, *facades: Program, log_file: str = "", **environment: str
) -> AsyncIterator[Program]:
    """Run an executor that reports to these facades."""
    addresses = {"FABRIC_JOBS_FACADES": ",".join(one.ready["grpc"] for one in facades)}
    command = (sys.executable, "-m", "fabric_jobs.executor", module)
    environment = addresses | environment
    with _open_log(log_file) as stderr:
        async with program(*command, environment=environment, stderr=stderr) as running:
            yield running


def _open_log(path: str) -> AbstractContextManager[IO[bytes] | None]:
    """The file for a program's log lines; without a path, they go where the test's own go."""
    return Path(path).open("wb") if path else nullcontext()


async def read_page(program: Program, path: str) -> str:
    """A page of a facade's HTTP server. Fails unless the answer is 200."""
    async with httpx.AsyncClient() as client:
        response = await client.get(program.ready["http"].removesuffix("/workload") + path)
    assert response.status_code == 200
    return response.text


def addresses(program: Program) -> dict[str, str]:
    """The settings that give a facade's successor the same ports; empty for an executor."""
    if "http" not in program.ready:
        return {}
    return {
        "FABRIC_JOBS_HTTP_ADDRESS": program.ready["http"].split("/")[2],
        "FABRIC_JOBS_GRPC_ADDRESS": program.ready["grpc"],
    }


class Fabric:
    """A client that calls a facade as Fabric does."""

    def __init__(
        self,
        replica: Program,
        job_type: str = "quick",
        item_type: str = "Test.Item",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=replica.ready["http"],
            headers={"x-ms-client-tenant-id": TENANT} | (headers or {}),
            timeout=30,
            limits=httpx.Limits(max_connections=100),
        )
        self._path = (
            f"/workspaces/{uuid.UUID(int=1)}/items/{item_type}/{uuid.UUID(int=2)}"
            f"/jobTypes/{job_type}/instances/"
        )

    async def __aenter__(self) -> "Fabric":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def create(
        self, job_id: str, payload: dict[str, Any] | None = None, invoke_type: str = "Manual"
    ) -> httpx.Response:
        """Create a job instance."""
        body: dict[str, Any] = {"invokeType": invoke_type}
        if payload is not None:
            body["creationPayload"] = payload
        return await self._client.post(self._path + job_id, json=body)

    async def state(self, job_id: str) -> httpx.Response:
        """Read the job's state."""
        return await self._client.get(self._path + job_id)

    async def cancel(self, job_id: str) -> httpx.Response:
        """Cancel the job."""
        return await self._client.post(f"{self._path}{job_id}/cancel")

    async def until(self, job_id: str, *statuses: str, within_s: float = 30) -> dict[str, Any]:
        """Poll until the job has one of these statuses; the last state."""
        async with asyncio.timeout(within_s):
            while True:
                response = await self.state(job_id)
                if response.status_code == 200 and response.json()["status"] in statuses:
                    state: dict[str, Any] = response.json()
                    return state
                await asyncio.sleep(0.05)


@asynccontextmanager
async def status_api(replica: Program) -> AsyncIterator[job_status_pb2_grpc.JobStatusServiceStub]:
    """A client of the gRPC API, generated from the .proto."""
    async with grpc.aio.insecure_channel(replica.ready["grpc"]) as channel:
        yield job_status_pb2_grpc.JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]


async def await_content(path: Path) -> None:
    """Return once the file has content."""
    async with asyncio.timeout(READY_S):
        while not (path.exists() and path.stat().st_size):
            await asyncio.sleep(0.02)


async def await_lines(path: Path, count: int) -> None:
    """Return once the file has at least `count` lines."""
    async with asyncio.timeout(READY_S):
        while not path.exists() or len(path.read_text().splitlines()) < count:
            await asyncio.sleep(0.02)


def new_pool() -> dict[str, str]:
    """The setting of a new pool, in which an executor waits for no dead members of an old one."""
    return {"FABRIC_JOBS_POOL": new_id()}


def new_id() -> str:
    """A new job instance id."""
    return str(uuid.uuid4())
