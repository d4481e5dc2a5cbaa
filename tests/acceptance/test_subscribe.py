"""The subscribers of docs/subscribe.md, on a topic with duplicates and events that do not apply."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import jsonschema_rs
import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from docs import asyncapi
from fabric_jobs.contract import events
from fabric_jobs.contract.events import NotAnEventError
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.support.brokers import SERVERS, Cluster
from tests.support.programs import PARTITIONS, Fabric, Program, new_id
from tests.support.records import events_of_forked_log
from tests.support.topic import create_topics, put, topic_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINAL = {"Completed", "Failed", "Cancelled"}


def loser(event: events.Event) -> bytes:
    """An event that lost a race to another: the same sequence and predecessor, another end."""
    state = replace(event.data.state, status=JobInstanceStatus.FAILED, phase=JobPhase.ENDED)
    return events.encode(
        events.Failed(
            id=new_id(),
            source="/loser",
            subject=event.subject,
            time=event.time,
            data=events.FailedData(
                sequence=event.data.sequence, follows=event.data.follows, state=state
            ),
        )
    )


async def forge(environment: dict[str, str]) -> None:
    """Append each event again, with an event that lost to it and records that are no events."""
    async with (
        topic_of(environment) as topic,
        AIOKafkaProducer(bootstrap_servers=environment[SERVERS]) as producer,
    ):
        for record in await topic.records():
            with suppress(NotAnEventError):  # forged before
                lost = loser(events.decode(record.value))
                for value in (record.value, lost, b"no event", b"{}", None):
                    await producer.send(
                        record.topic,
                        value,
                        record.key,
                        partition=record.partition,
                        headers=list(record.headers),
                    )
        await producer.flush()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(
    environment: dict[str, str], replicas: tuple[Program, Program], runner: Program
) -> dict[str, str]:
    """The status of each job by a facade's answer, after all records are on the topic."""
    told: dict[str, str] = {}
    async with Fabric(replicas[0], "endless") as endless:
        jobs = [new_id() for _ in range(3)]
        for job_id in jobs:
            await endless.create(job_id)
            await endless.until(job_id, "InProgress")
        await forge(environment)  # between the events of a job
        for job_id in jobs:
            await endless.cancel(job_id)
            told[job_id] = (await endless.until(job_id, "Cancelled"))["status"]
    async with Fabric(replicas[1], "hopeless") as hopeless, Fabric(replicas[1]) as quick:
        for fabric, end in ((hopeless, "Failed"), (quick, "Completed")):
            told |= await ended(fabric, end, partitions=1)
        await forge(environment)  # behind a job's end
        return told | await ended(quick, "Completed", partitions=PARTITIONS)


async def ended(fabric: Fabric, end: str, partitions: int) -> dict[str, str]:
    """Run jobs to this end in a number of partitions; the status of each."""
    told: dict[str, str] = {}
    while len({partition_of(job_id, PARTITIONS) for job_id in told}) < partitions:
        job_id = new_id()
        await fabric.create(job_id)
        told[job_id] = (await fabric.until(job_id, end))["status"]
    return told


async def told_by(
    example: str, request: pytest.FixtureRequest, environment: dict[str, str], jobs: set[str]
) -> list[str]:
    """Run a subscriber until the last job has ended; its lines."""
    runtime = sys.executable
    if example.endswith(".mjs"):
        request.getfixturevalue("examples")
        runtime = "node"
    command = [runtime, f"examples/{example}"]
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=PIPE
    )
    lines: list[str] = []
    left = set(jobs)
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            while left and (line := await process.stdout.readline()):
                lines.append(line.decode())
                job_id, *_, status = lines[-1].split()
                if status in FINAL:
                    left.discard(job_id)
    finally:
        process.kill()
        await process.wait()
    return lines


@pytest.mark.parametrize("example", ["subscribe.py", "subscribe.mjs"])
async def test_subscriber_prints_the_statuses_that_the_facade_answers(
    example: str,
    environment: dict[str, str],
    answers: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    """The rule leaves out duplicates and events that lost a race."""
    lines = await told_by(example, request, environment, set(answers))

    sequences: defaultdict[str, list[int]] = defaultdict(list)
    statuses: dict[str, str] = {}
    for line in lines:
        job_id, sequence, _, status = line.split()
        sequences[job_id].append(int(sequence))
        statuses[job_id] = status
    assert statuses == answers
    assert all(told == list(range(1, len(told) + 1)) for told in sequences.values())


@pytest.mark.parametrize("example", ["subscribe.py", "subscribe.mjs"])
async def test_subscriber_skips_an_event_that_follows_a_record_that_kafka_has_lost(
    example: str, apache: Cluster, topic: str, request: pytest.FixtureRequest
) -> None:
    """No facade applies it, although its sequence is the job's next one."""
    environment = apache.environment(topic)
    names = [f"{topic}{suffix}" for suffix in ("", ".heartbeats", ".controls")]
    await create_topics(apache.bootstrap_servers, *names)
    log = events_of_forked_log()
    await put(environment, *log)

    lines = await told_by(example, request, environment, {log[0].subject})
    assert [line.split()[1:] for line in lines] == [
        ["1", "fabric.jobs.requested", "NotStarted"],
        ["2", "fabric.jobs.started", "InProgress"],
        ["3", "fabric.jobs.progressed", "InProgress"],
        ["4", "fabric.jobs.failed", "Failed"],
    ]


async def test_events_on_the_topic_fit_the_published_schema(
    environment: dict[str, str],
    replicas: tuple[Program, Program],
    answers: dict[str, str],
    tmp_path: Path,
) -> None:
    """Events of every type have the published key, headers and value."""
    for job_type in ("journaled", "resumed"):
        async with Fabric(replicas[0], job_type) as fabric:
            await fabric.create(job_id := new_id(), {"journal": str(tmp_path / job_type)})
            await fabric.until(job_id, "Completed")
    files = asyncapi.documents()
    validator = jsonschema_rs.validator_for(json.loads(files[asyncapi.SCHEMA]))
    traits = yaml.safe_load(files[asyncapi.ASYNCAPI])["components"]["messageTraits"]["event"]
    headers = jsonschema_rs.validator_for(traits["headers"])
    key = jsonschema_rs.validator_for(traits["bindings"]["kafka"]["key"], validate_formats=True)

    seen: set[str] = set()
    async with topic_of(environment) as topic:
        records = await topic.records()
    for record in records:
        with suppress(NotAnEventError):  # forged
            event = events.decode(record.value)
            seen.add(events.type_of(event))
            validator.validate(json.loads(record.value))
            headers.validate({name: value.decode() for name, value in record.headers})
            key.validate(record.key.decode())
            assert record.key.decode() == event.subject
    assert seen == {str(kind.__struct_config__.tag) for kind in asyncapi.KINDS}
