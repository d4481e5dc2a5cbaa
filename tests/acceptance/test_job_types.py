"""Paused job types on Apache Kafka, with two facades and their executor."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.support import command
from tests.support.brokers import Cluster
from tests.support.command import Result
from tests.support.programs import (
    HANDLERS,
    Fabric,
    Program,
    await_content,
    executor,
    facade,
    new_id,
)


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """A topic of the test's own, and a name with which an executor takes the place of another."""
    return apache.environment(topic) | {"FABRIC_JOBS_EXECUTOR_NAME": "one"}


async def job_types(replica: Program, *arguments: str) -> Result:
    """Runs `fabric-jobs job-types` against a replica."""
    at = {"FABRIC_JOBS_GRPC_ADDRESS": replica.ready["grpc"]}
    return await command.run("job-types", *arguments, environment=at)


async def paused_on(replica: Program) -> list[str]:
    """The reasons of the paused job types, as the replica lists them."""
    listed = await job_types(replica, "list", "--json")
    found = [json.loads(line) for line in listed.stdout]
    return [one["pause"]["reason"] for one in found if "pause" in one]


async def test_paused_type_starts_nothing_on_any_replica_and_after_a_restart_until_it_is_resumed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A run goes on, other types go on, creates are accepted; then what waits starts."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    kind = ("Test.Item", "journaled")
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        Fabric(one, "journaled") as fabric,
        Fabric(two, "quick") as quick,
        executor(HANDLERS, one, two, **environment),
    ):
        running = new_id()
        await fabric.create(running, {"journal": str(journal), "until": str(go)})
        await await_content(journal)
        unknown = await job_types(one, "pause", "Test.Item", "journale", "--reason", "why")
        paused = await job_types(one, "pause", *kind, "--reason", "the disk is full")
        elsewhere = await paused_on(two)
        waiting = [new_id() for _ in range(8)]
        for job_id in waiting:
            assert (await fabric.create(job_id, {"journal": str(journal)})).status_code == 202
        await quick.create(passing := new_id())
        await quick.until(passing, "Completed")
        go.touch()
        await fabric.until(running, "Completed")
        # Offers come within a second, so a grant in spite of the pause would come within it too.
        await asyncio.sleep(2)
        during = [(await fabric.state(job_id)).json()["status"] for job_id in waiting]
    async with (
        facade(**environment) as again,
        Fabric(again, "journaled") as fabric,
        executor(HANDLERS, again, **environment),
    ):
        after = [(await fabric.state(job_id)).json()["status"] for job_id in waiting]
        kept = await paused_on(again)
        begin = time.monotonic()
        resumed = await job_types(again, "resume", *kind)
        for job_id in waiting:
            await fabric.until(job_id, "Completed")
        started_s = time.monotonic() - begin

    assert elsewhere == ["the disk is full"]
    assert started_s < 10
    assert unknown.exit_code == 2
    assert "and no job has this type. There are Test.Item journaled, " in unknown.stderr
    assert (paused.exit_code, resumed.exit_code) == (0, 0)
    assert "Jobs in progress, which go on: 1." in paused.stderr
    assert during == after == ["NotStarted"] * 8
    assert kept == ["the disk is full"]
    assert len(journal.read_text().splitlines()) == 9
