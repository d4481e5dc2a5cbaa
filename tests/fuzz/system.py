"""The programs that are fuzzed: Apache Kafka, a facade, an executor and the local issuer."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from msgspec import Struct

from tests.support.apache_kafka import ApacheKafka
from tests.support.brokers import SERVERS
from tests.support.programs import PARTITIONS, TENANT, Program, new_id, program

TOPIC = "fuzz.events"
HEARTBEATS = "fuzz.heartbeats"
WORKSPACE, ITEM = new_id(), new_id()
_ISSUER = """
import sys, time
from fabric_jobs.cli.dev.issuer import Issuer
with Issuer() as issuer:
    print("issuer ready", *(f"{k}={v}" for k, v in issuer.settings.items()), flush=True)
    while True:
        time.sleep(60)
"""


class System(Struct):
    """The running programs, by name, and how to reach them."""

    programs: dict[str, Program]
    folder: Path
    environment: dict[str, str]
    client: httpx.AsyncClient

    @property
    def http(self) -> tuple[str, int]:
        """The facade's HTTP address."""
        return _address(self.programs["facade"].ready["http"])

    @property
    def grpc(self) -> str:
        """The facade's gRPC address."""
        return self.programs["facade"].ready["grpc"]

    @property
    def issuer(self) -> tuple[str, int]:
        """The issuer's address."""
        return _address(self.programs["issuer"].ready["FABRIC_JOBS_AUTHORITY"])

    def log(self, name: str) -> Path:
        """The file with what the program wrote to stderr."""
        return self.folder / f"{name}.log"

    async def headers(self) -> dict[str, str]:
        """The headers of Fabric's requests for a user."""
        url = "http://{}:{}/headers".format(*self.issuer)
        found: dict[str, str] = (await self.client.get(url, params={"tenant": TENANT})).json()
        return found


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[System]:
    """The programs, from their ready lines to the end of the block; their logs are in `folder`."""
    async with AsyncExitStack() as stack:
        kafka = stack.enter_context(ApacheKafka(folder / "kafka"))
        programs: dict[str, Program] = {}

        async def start(name: str, *command: str, **environment: str) -> Program:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            programs[name] = await stack.enter_async_context(
                program(sys.executable, *command, environment=environment, stderr=log)
            )
            return programs[name]

        shared = {
            SERVERS: kafka.bootstrap_servers,
            "FABRIC_JOBS_EVENTS_TOPIC": TOPIC,
            "FABRIC_JOBS_HEARTBEATS_TOPIC": HEARTBEATS,
        }
        issuer = await start("issuer", "-c", _ISSUER)
        facade = await start(
            "facade",
            *("-m", "fabric_jobs.facade"),
            **shared,
            **issuer.ready,
            FABRIC_JOBS_HTTP_ADDRESS="127.0.0.1:0",
            FABRIC_JOBS_GRPC_ADDRESS="127.0.0.1:0",
            FABRIC_JOBS_CREATE_TOPICS="true",
            FABRIC_JOBS_EVENTS_PARTITIONS=str(PARTITIONS),
            FABRIC_JOBS_MONITOR="true",
            FABRIC_JOBS_STATE_DIR=str(folder / "state"),
        )
        await start(
            "executor",
            *("-m", "fabric_jobs.executor", "tests.support.handlers:executor"),
            **shared,
            FABRIC_JOBS_FACADES=facade.ready["grpc"],
        )
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        yield System(programs, folder, dict(os.environ) | shared, client)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.split("/")[2].rpartition(":")
    return host, int(port)


async def exchange(address: tuple[str, int], data: bytes, within_s: float) -> bytes:
    """Sends the bytes on a connection of their own, and returns what came back in time."""
    answer = b""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(data)
                await writer.drain()
                while part := await reader.read(65536):
                    answer += part
            finally:
                writer.close()
    except (TimeoutError, OSError):
        pass
    return answer
