"""No token is in anything that a whole run writes, and the topics are useless without the keys."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from fabric_jobs.contract.grants import Grant, decode_record
from fabric_jobs.facade.sealing import Purpose, Sealer, UnknownKeyError
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.security import sealer
from fabric_jobs.runtime.settings import from_env, read_ring
from tests.support import command
from tests.support.brokers import SERVERS, Cluster
from tests.support.collector import run_collector
from tests.support.programs import PARTITIONS, Fabric, executor, facade, new_id
from tests.support.sealing import ring_key
from tests.support.user_authority import TENANT, run_user_authority

HANDLERS = "tests.support.token_handlers:executor"
#: The topics of an installation, by the settings that name them.
TOPICS = ("EVENTS", "HEARTBEATS", "CONTROLS", "GRANTS")


async def records(environment: Mapping[str, str], name: str) -> list[tuple[bytes, bytes]]:
    """Each record of a topic: its key, and its value with its headers."""
    topic = environment[f"FABRIC_JOBS_{name}_TOPIC"]
    consumer = AIOKafkaConsumer(bootstrap_servers=environment[SERVERS])
    await consumer.start()
    try:
        count = PARTITIONS if name == "EVENTS" else 1
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found = []
        async with asyncio.timeout(20):
            while [one for one in partitions if await consumer.position(one) < ends[one]]:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    for record in batch:
                        headers = b"".join(value for _, value in record.headers)
                        found.append((record.key or b"", (record.value or b"") + headers))
        return found
    finally:
        await consumer.stop()


def parts(token: str) -> list[bytes]:
    """A token, and for a JWT its signature, which no other text has."""
    return [one.encode() for one in {token, token.rpartition(".")[2]}]


async def test_no_token_in_anything_that_a_whole_run_writes(
    apache: Cluster, topic: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Jobs that complete, fail and are cancelled, with every log line, trace and metric."""
    until = tmp_path / "until"
    with run_user_authority() as users, run_collector() as collector:
        environment = (
            apache.environment(topic)
            | users.settings
            | collector.environment
            | {
                "FABRIC_JOBS_SEALING_KEYS": ring_key("one"),
                "FABRIC_JOBS_LOG_LEVEL": "debug",
                "FABRIC_JOBS_MONITOR": "true",
                "FABRIC_JOBS_STATE_DIR": str(tmp_path / "state"),
            }
        )
        headers = users.headers()
        written: list[bytes] = []
        async with (
            facade(**environment) as one,
            executor(HANDLERS, one, **environment),
            httpx.AsyncClient() as client,
        ):
            ended = []
            for job_type in ("sync", "process", "app", "blocking"):
                async with Fabric(one, job_type, headers=headers) as fabric:
                    job_id = new_id()
                    await fabric.create(job_id, {"journal": str(tmp_path / "journal")})
                    ended.append(await fabric.until(job_id, "Completed", "Failed"))
            async with Fabric(one, "user", headers=headers) as fabric:
                revoked, cancelled = new_id(), new_id()
                journal = tmp_path / "until-revoked"
                await fabric.create(cancelled, {"journal": str(journal), "until": str(until)})
                while not journal.exists() or len(set(users.tokens_in(journal))) < 3:
                    await asyncio.sleep(0.1)
                await fabric.cancel(cancelled)
                await fabric.until(cancelled, "Cancelled")
                users.endpoint.revoked.add(users.user())
                await fabric.create(revoked, {"journal": str(journal), "until": str(until)})
                ended.append(await fabric.until(revoked, "Failed"))
            grants = await until_deleted(environment)
            root = one.ready["http"].removesuffix("/workload")
            for path in ("/metrics", f"/monitor/jobs/{revoked}", f"/monitor/jobs/{cancelled}"):
                page = await client.get(root + path)
                assert page.status_code == 200, path
                written.append(page.content)
            shown = await command.run("jobs", "get", revoked, "--grpc", one.ready["grpc"], "--json")
            written += [line.encode() for line in shown.stdout]
        # The state is written to the file when the facade stops.
        written += [file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()]
        for name in TOPICS:
            written += [value for _, value in await records(environment, name)]
        output = capfd.readouterr()
        written += [output.err.encode(), output.out.encode(), *collector.bodies]
        secrets = [
            *users.endpoint.given,
            *headers["Authorization"].split('"')[1::2],
            users.endpoint.client_secret,
        ]

    assert [state["status"] for state in ended] == [
        *("Completed", "Completed", "Completed"),
        *("Failed", "Failed"),
    ]
    assert "DEBUG" in output.err
    assert len(secrets) > 12
    assert collector.spans
    everything = b"\n".join(written)
    assert [secret for secret in secrets for part in parts(secret) if part in everything] == []
    open_with(environment, grants)


async def until_deleted(environment: Mapping[str, str]) -> list[Grant]:
    """The sealed grants, once each of them was deleted."""
    async with asyncio.timeout(30):
        while True:
            found = [decode_record(*one) for one in await records(environment, "GRANTS")]
            grants = [grant for grant in found if grant]
            sealed = [grant for grant in grants if grant.sealed]
            deleted = {grant.grant_id for grant in grants if not grant.sealed}
            if sealed and {grant.grant_id for grant in sealed} == deleted:
                return sealed
            await asyncio.sleep(0.5)


def open_with(environment: Mapping[str, str], grants: list[Grant]) -> None:
    """Opens the grants with the ring, and finds that another ring opens none."""
    settings = from_env(FacadeSettings, environment)
    ring = sealer(settings, settings.grants_topic)
    stranger = Sealer(read_ring(ring_key("two")), settings.grants_topic)
    assert ring
    for grant in grants:
        where = (Purpose.GRANT, TENANT, grant.job_id)
        assert b"local-refresh-" in ring.open(*where, grant.sealed)
        with pytest.raises(UnknownKeyError):
            stranger.open(*where, grant.sealed)
