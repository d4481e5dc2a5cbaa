"""Jobs act on behalf of the user who started them, on the real programs and a local authority."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec import Struct

from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.token_endpoint import (
    TokenEndpoint,
)
from tests.support.brokers import Cluster
from tests.support.programs import Fabric, Program, executor, facade, new_id
from tests.support.token_handlers import hash_of

HANDLERS = "tests.support.token_handlers:executor"
TENANT = "c0000000-0000-4000-8000-00000000000a"
#: Seconds that an access token is valid here.
LIFETIME_S = 4


def key(name: str) -> str:
    """A new entry of a ring."""
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


class Authority(Struct):
    """The authority of a test, and the settings that make programs use it."""

    issuer: Issuer
    endpoint: TokenEndpoint
    environment: dict[str, str]

    def headers(self, *, subject: bool = True, tenant: str = TENANT) -> dict[str, str]:
        """Fabric's headers."""
        return self.issuer.headers(tenant, subject=subject)

    def was_given(self, journal: Path) -> list[str]:
        """The tokens in a journal; each was given by this authority."""
        known = {hash_of(token) for token in self.endpoint.given}
        found = journal.read_text().split() if journal.exists() else []
        assert set(found) <= known
        return found


@pytest.fixture
def authority(apache: Cluster, topic: str) -> Iterator[Authority]:
    """A running authority, whose tokens live for seconds."""
    with Issuer() as issuer, TokenEndpoint(issuer) as endpoint:
        endpoint.lifetime_s = LIFETIME_S
        environment = (
            apache.environment(topic)
            | issuer.settings
            | endpoint.settings
            | {"FABRIC_JOBS_SEALING_KEYS": key("one"), "FABRIC_JOBS_POOL": topic}
        )
        yield Authority(issuer, endpoint, environment)


@asynccontextmanager
async def stack(authority: Authority, **more: str) -> AsyncIterator[tuple[Program, Program]]:
    """A facade and an executor."""
    environment = authority.environment | more
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment) as running,
    ):
        yield one, running


async def until_tokens(journal: Path, number: int) -> None:
    """Returns once the handler has used so many different tokens."""
    async with asyncio.timeout(60):
        while not journal.exists() or len(set(journal.read_text().split())) < number:
            await asyncio.sleep(0.1)


async def metric(program: Program, name: str) -> dict[str, float]:
    """The values of a metric, by its labels as Prometheus spells them."""
    url = program.ready["http"].removesuffix("/workload") + "/metrics"
    async with httpx.AsyncClient() as client:
        text = (await client.get(url)).text
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


@pytest.mark.parametrize("job_type", ["sync", "process", "async-credential", "app", "user"])
async def test_handler_of_each_kind_gets_tokens(
    authority: Authority, tmp_path: Path, job_type: str
) -> None:
    """In the event loop, in a thread, in a process; of the user and of the workload."""
    journal = tmp_path / "journal"
    async with stack(authority) as (one, _):
        fabric = Fabric(one, job_type, headers=authority.headers())
        async with fabric:
            job_id = new_id()
            created = await fabric.create(job_id, {"journal": str(journal)})
            assert created.status_code == 202, created.text
            state = await fabric.until(job_id, "Completed", "Failed")
    assert state["status"] == "Completed", state
    assert authority.was_given(journal)


async def test_job_outlives_its_token_while_both_facades_restart(
    authority: Authority, tmp_path: Path
) -> None:
    """The job gets new tokens, from whichever facade there is, until it ends."""
    journal, until = tmp_path / "journal", tmp_path / "until"
    environment = authority.environment
    async with facade(**environment) as one, facade(**environment) as two:
        ports = [program.ready for program in (one, two)]
        async with (
            executor(HANDLERS, one, two, **environment),
            Fabric(one, "user", headers=authority.headers()) as fabric,
        ):
            job_id = new_id()
            await fabric.create(job_id, {"journal": str(journal), "until": str(until)})
            await until_tokens(journal, 2)
            for program, ready in zip((one, two), ports, strict=True):
                assert await program.stop() == 0
                again = {
                    "FABRIC_JOBS_HTTP_ADDRESS": ready["http"].split("/")[2],
                    "FABRIC_JOBS_GRPC_ADDRESS": ready["grpc"],
                }
                before = len(set(journal.read_text().split()))
                async with facade(**environment | again):
                    await until_tokens(journal, before + 2)
