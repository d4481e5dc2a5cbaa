"""The programs on an Apache Kafka with SASL_SSL and the documented ACLs."""

import asyncio
import json
import os
import re
import sys
import tempfile
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from fabric_jobs.contract.grants import GRANTS_TOPIC
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support import command
from tests.support.brokers import SERVERS
from tests.support.certificates import Authority
from tests.support.paths import ROOT
from tests.support.programs import (
    HANDLERS,
    PARTITIONS,
    Fabric,
    Program,
    await_content,
    executor,
    facade,
    new_id,
    read_page,
    status_api,
)
from tests.support.sealing import ring_key
from tests.support.secured_kafka import PASSWORD, Acl, SecuredKafka
from tests.support.topic import create_topics
from tests.support.user_authority import run_user_authority

PAGE = (ROOT / "docs" / "security.md").read_text()
#: The ACLs of the table in the docs.
ALL_DOCUMENTED = [
    Acl(*row)
    for row in re.findall(r"^\| `(\w+)` \| (\w+) \| (topic|group) `([\w.]+)` \|$", PAGE, re.M)
]
#: Those that are needed always, and those that only users' tokens need.
DOCUMENTED = [acl for acl in ALL_DOCUMENTED if acl.name != GRANTS_TOPIC]
FOR_USERS = [acl for acl in ALL_DOCUMENTED if acl.name == GRANTS_TOPIC]
ENDED_S = 60


@pytest.fixture
async def names(secured: SecuredKafka, topic: str) -> dict[str, str]:
    """New topics and a new pool, by the default names that they replace; the topics exist."""
    names = {
        "fabric.jobs.events": topic,
        "fabric.jobs.heartbeats": f"{topic}.heartbeats",
        "fabric.jobs.controls": f"{topic}.controls",
        "default": f"pool-{uuid.uuid4()}",
    }
    await create_topics(
        secured.bootstrap_servers,
        topic,
        names["fabric.jobs.heartbeats"],
        names["fabric.jobs.controls"],
    )
    return names


def settings(names: Mapping[str, str]) -> dict[str, str]:
    """The settings with these topics and this pool."""
    return {
        "FABRIC_JOBS_EVENTS_TOPIC": names["fabric.jobs.events"],
        "FABRIC_JOBS_HEARTBEATS_TOPIC": names["fabric.jobs.heartbeats"],
        "FABRIC_JOBS_CONTROLS_TOPIC": names["fabric.jobs.controls"],
        "FABRIC_JOBS_POOL": names["default"],
    }


def as_user(secured: SecuredKafka, names: Mapping[str, str], user: str) -> dict[str, str]:
    """The settings of a program that is this user of Kafka and may not create topics."""
    return settings(names) | {
        SERVERS: secured.sasl_servers,
        "FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "FABRIC_JOBS_KAFKA_SASL_USERNAME": user,
        "FABRIC_JOBS_KAFKA_SASL_PASSWORD": PASSWORD,
        "FABRIC_JOBS_KAFKA_SSL_CA_FILE": str(secured.authority.ca),
        "FABRIC_JOBS_CREATE_TOPICS": "false",
    }


def documented(names: Mapping[str, str]) -> list[Acl]:
    """The documented ACLs for these topics and this pool."""
    return [Acl(acl.user, acl.operation, acl.kind, names[acl.name]) for acl in DOCUMENTED]


async def test_documented_acls_suffice_for_a_jobs_whole_life(
    secured: SecuredKafka, names: dict[str, str], tmp_path: Path
) -> None:
    """A job is run, handed back, run again and completed; one is cancelled; events are read."""
    secured.allow(*documented(names))
    go = tmp_path / "go"
    runner = as_user(secured, names, "executor") | {"FABRIC_JOBS_DRAIN_S": "0"}
    async with (
        facade(**as_user(secured, names, "facade")) as replica,
        Fabric(replica, "journaled") as fabric,
        Fabric(replica, "cancellable") as other,
    ):
        completed, cancelled = new_id(), new_id()
        async with executor(HANDLERS, replica, **runner) as first:
            await fabric.create(completed, {"journal": str(tmp_path / "runs"), "until": str(go)})
            await other.create(
                cancelled, {"journal": str(tmp_path / "cancelled"), "until": "never"}
            )
            await await_content(tmp_path / "runs")
            await await_content(tmp_path / "cancelled")
            await other.cancel(cancelled)
            await other.until(cancelled, "Cancelled")
            await first.stop()
        go.touch()
        async with executor(HANDLERS, replica, **runner):
            await fabric.until(completed, "Completed")
        events = await command.run(
            *("jobs", "events", completed, "--grpc", replica.ready["grpc"], "--json"),
            environment=as_user(secured, names, "subscriber"),
        )

    assert events.exit_code == 0, events.stderr
    kinds = [json.loads(line)["event"]["type"].rpartition(".")[2] for line in events.stdout]
    assert [kind for kind in kinds if kind != "progressed"] == [
        "requested",
        "started",
        "requeued",
        "started",
        "completed",
    ]


@pytest.mark.parametrize("missing", range(len(DOCUMENTED)), ids=map(str, DOCUMENTED))
async def test_program_without_an_acl_ends_and_names_the_acl(
    secured: SecuredKafka, names: dict[str, str], missing: int
) -> None:
    """The program's last line is the command that allows what Kafka refused."""
    acls = documented(names)
    denied = acls.pop(missing)
    secured.allow(*acls)
    told = await TELL[denied.user](secured, names)

    if denied.user == "subscriber":  # Kafka hides from it that there is such a topic
        assert f"no topic {denied.name}" in told
        assert "the Kafka user may not Read this one" in told
    else:
        assert told.endswith(
            f"Kafka does not allow this program {denied.operation} on {denied.kind} "
            f"{denied.name}. Allow it: kafka-acls.sh --bootstrap-server {secured.sasl_servers} "
            f"--add --allow-principal User:{denied.user} --operation {denied.operation} "
            f"--{denied.kind} {denied.name}\n"
        )


@pytest.mark.parametrize("missing", FOR_USERS, ids=map(str, FOR_USERS))
async def test_facade_with_users_tokens_names_a_missing_acl_of_their_topic(
    secured: SecuredKafka, names: dict[str, str], missing: Acl
) -> None:
    """The topic of the grants has the same three ACLs as the facade's other topics."""
    grants = f"{names['fabric.jobs.events']}.grants"
    settings = FacadeSettings(
        kafka_bootstrap_servers=secured.bootstrap_servers, grants_topic=grants, create_topics=True
    )
    await Log(settings, topics.grants(settings)).connect()
    allowed = [replace(acl, name=grants) for acl in FOR_USERS if acl != missing]
    secured.allow(*documented(names), *allowed)
    with run_user_authority() as authority:
        environment = as_user(secured, names, "facade") | authority.settings
        told = await _ended(
            "facade",
            environment
            | {
                "FABRIC_JOBS_GRANTS_TOPIC": grants,
                "FABRIC_JOBS_SEALING_KEYS": ring_key("one"),
                # A sealed event is larger, and the topic was made for clear ones.
                "FABRIC_JOBS_BODY_LIMIT_BYTES": "65536",
            },
        )

    assert f"does not allow this program {missing.operation} on topic {grants}. " in told


async def test_executor_that_loses_its_acls_reports_its_runs_before_it_ends(
    secured: SecuredKafka, names: dict[str, str], tmp_path: Path
) -> None:
    """It takes no new job, reports the runs that it holds, and ends with Kafka's refusal."""
    secured.allow(*documented(names))
    go = tmp_path / "go"
    async with (
        facade(**as_user(secured, names, "facade")) as replica,
        executor(
            *(HANDLERS, replica),
            **as_user(secured, names, "executor"),
            FABRIC_JOBS_HEARTBEAT_S="0.3",
        ) as running,
        Fabric(replica, "journaled") as fabric,
        status_api(replica) as status,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(tmp_path / "runs"), "until": str(go)})
        await await_content(tmp_path / "runs")
        secured.allow(*(acl for acl in documented(names) if acl.user != "executor"))
        await _draining(status)
        assert (await fabric.state(job_id)).json()["status"] == "InProgress"
        go.touch()
        async with asyncio.timeout(ENDED_S):
            code = await running.process.wait()
        state = (await fabric.state(job_id)).json()["status"]

    assert (code, state) == (2, "Completed")


async def test_check_names_what_kafka_refuses(secured: SecuredKafka, names: dict[str, str]) -> None:
    """The check finds a wrong password, a missing password and missing ACLs."""
    environment = as_user(secured, names, "facade") | {
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
    }
    secured.allow(*documented(names))
    good = await command.run("check", environment=environment)
    wrong = await command.run(
        "check", environment=environment | {"FABRIC_JOBS_KAFKA_SASL_PASSWORD": "wrong"}
    )
    unsaid = await command.run(
        "check", environment=environment | {"FABRIC_JOBS_KAFKA_SASL_PASSWORD": ""}
    )
    missing = {}
    for operation in ("Write", "DescribeConfigs"):
        denied = Acl("facade", operation, "topic", names["fabric.jobs.heartbeats"])
        secured.allow(*(acl for acl in documented(names) if acl != denied))
        missing[operation] = await command.run("check", environment=environment)

    assert good.exit_code == 0, good.stdout
    assert _failed(wrong, "kafka").startswith(f"Kafka at {secured.sasl_servers} rejects the user")
    assert "needs FABRIC_JOBS_KAFKA_SASL_PASSWORD" in _failed(unsaid, "settings")
    assert "does not allow this program Write" in _failed(missing["Write"], "append")
    assert "this program DescribeConfigs" in _failed(missing["DescribeConfigs"], "topic")


async def test_facade_creates_topics_with_the_create_acl_alone(
    secured: SecuredKafka, topic: str
) -> None:
    """Without the Create ACL, the facade ends and names it."""
    names = {
        "fabric.jobs.events": topic,
        "fabric.jobs.heartbeats": f"{topic}.beats",
        "fabric.jobs.controls": f"{topic}.paused",
        "default": "x",
    }
    making = as_user(secured, names, "facade") | {"FABRIC_JOBS_CREATE_TOPICS": "true"}
    secured.allow(*documented(names))
    told = await _ended("facade", making)
    creates = [
        Acl("facade", "Create", "topic", name)
        for name in (topic, f"{topic}.beats", f"{topic}.paused")
    ]
    secured.allow(*documented(names), *creates)

    assert f"does not allow this program Create on topic {topic}. Allow it: " in told
    async with facade(**making) as replica, Fabric(replica) as fabric:
        assert (await fabric.create(new_id())).status_code == 202


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"KAFKA_SASL_PASSWORD": "wrong"}, "KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SSL_CA_FILE": ""}, "KAFKA_SSL_CA_FILE"),
        (
            dict.fromkeys(
                (
                    "KAFKA_SECURITY_PROTOCOL",
                    "KAFKA_SASL_USERNAME",
                    "KAFKA_SASL_PASSWORD",
                    "KAFKA_SSL_CA_FILE",
                ),
                "",
            ),
            "speaks SASL_SSL: set FABRIC_JOBS_KAFKA_SECURITY_PROTOCOL",
        ),
    ],
    ids=["password", "authority", "protocol"],
)
@pytest.mark.parametrize("program", ["facade", "executor"])
async def test_program_with_a_wrong_kafka_setting_ends_and_names_the_setting(
    secured: SecuredKafka, names: dict[str, str], program: str, wrong: dict[str, str], message: str
) -> None:
    """The last line names the setting, and no line has the password."""
    environment = as_user(secured, names, program)
    told = await _ended(program, environment | {f"FABRIC_JOBS_{k}": v for k, v in wrong.items()})

    assert message in told.splitlines()[-1]
    assert PASSWORD not in told


def _failed(check: command.Result, subject: str) -> str:
    """The check's text about the one subject that failed."""
    failed = [re.fullmatch(r"failed +(\w+) +(.*)", line) for line in check.stdout]
    ((named, told),) = [match.groups() for match in failed if match]
    assert check.exit_code == 1
    assert named == subject
    return told


async def _draining(status: JobStatusServiceStub) -> None:
    """Return once the executor reports that it has no free slot."""
    async with asyncio.timeout(ENDED_S):
        while True:
            listed = await status.ListExecutors(pb.ListExecutorsRequest())
            if [one.free_slots for one in listed.executors] == [0]:
                return
            await asyncio.sleep(0.05)


async def _facade_told(secured: SecuredKafka, names: Mapping[str, str]) -> str:
    return await _ended("facade", as_user(secured, names, "facade"))


async def _executor_told(secured: SecuredKafka, names: Mapping[str, str]) -> str:
    async with facade(**as_user(secured, names, "facade")) as replica:
        return await _ended(
            "executor",
            as_user(secured, names, "executor") | {"FABRIC_JOBS_FACADES": replica.ready["grpc"]},
        )


async def _subscriber_told(secured: SecuredKafka, names: Mapping[str, str]) -> str:
    async with facade(**as_user(secured, names, "facade")) as replica, Fabric(replica) as fabric:
        job_id = new_id()
        await fabric.create(job_id)
        ended = await command.run(
            *("jobs", "events", job_id, "--grpc", replica.ready["grpc"]),
            environment=as_user(secured, names, "subscriber"),
        )
    return ended.stderr


TELL = {"facade": _facade_told, "executor": _executor_told, "subscriber": _subscriber_told}


async def _ended(program: str, environment: Mapping[str, str]) -> str:
    """The stderr of a program that ends by itself. A facade that becomes ready gets a create."""
    local = {
        "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_EVENTS_PARTITIONS": str(PARTITIONS),
        "FABRIC_JOBS_UNREADY_S": "0",
    }
    arguments = [HANDLERS] if program == "executor" else []
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"fabric_jobs.{program}", *arguments),
            env={**os.environ, **local, **environment},
            stdout=PIPE,
            stderr=log,
        )
        try:
            assert process.stdout
            async with asyncio.timeout(ENDED_S):
                if line := (await process.stdout.readline()).decode():
                    ready = dict(word.split("=", 1) for word in line.split()[2:])
                    async with Fabric(Program(process, ready)) as fabric:
                        with suppress(httpx.TransportError):
                            await fabric.create(new_id())
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        log.seek(0)
        told = log.read().decode()
        print(told)
    assert code in (1, 2)
    return told


async def test_damaged_ca_file_while_kafka_restarts_ends_no_facade(
    secured: SecuredKafka, names: dict[str, str], tmp_path: Path
) -> None:
    """The facade connects again with the authorities that it read before, says so, and is ready."""
    secured.allow(*documented(names))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(secured.authority.ca.read_bytes())
    environment = as_user(secured, names, "facade") | {"FABRIC_JOBS_KAFKA_SSL_CA_FILE": str(ca)}
    async with facade(**environment) as replica, Fabric(replica, "nobody-runs") as fabric:
        assert (await fabric.create(new_id())).status_code == 202
        ca.write_bytes(b"garbage")
        series = 'fabric_jobs_certificates_unusable{use="kafka"} 1'
        async with asyncio.timeout(60):
            while series not in await read_page(replica, "/metrics"):
                await asyncio.sleep(0.2)
            await asyncio.to_thread(secured.restart, 0)
            while (await fabric.create(new_id())).status_code != 202:
                await asyncio.sleep(0.2)
        assert replica.process.returncode is None


async def test_facade_outlives_a_change_of_the_authority_of_kafkas_certificates(
    secured: SecuredKafka, names: dict[str, str], tmp_path: Path
) -> None:
    """The file has both authorities before the broker restarts, as the docs say."""
    secured.allow(*documented(names))
    ca = tmp_path / "ca.pem"
    old = secured.authority.ca.read_bytes()
    ca.write_bytes(old)
    environment = as_user(secured, names, "facade") | {"FABRIC_JOBS_KAFKA_SSL_CA_FILE": str(ca)}
    async with facade(**environment) as replica, Fabric(replica, "nobody-runs") as fabric:
        assert (await fabric.create(new_id())).status_code == 202
        new = Authority(secured.authority.ca.parent / "next")
        ca.write_bytes(old + new.ca.read_bytes())
        await asyncio.to_thread(secured.use, new)
        async with asyncio.timeout(60):
            while (await fabric.create(new_id())).status_code != 202:
                await asyncio.sleep(0.2)
