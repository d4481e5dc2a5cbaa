"""Facades with a ring of sealing keys write no secret, and show it to those who may see it."""

import asyncio
import base64
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.check_report import Report
from tests.support.collector import run_collector
from tests.support.programs import (
    HANDLERS,
    Fabric,
    Program,
    executor,
    facade,
    new_id,
    read_page,
    status_api,
)
from tests.support.sealing import ring_key
from tests.support.topic import topic_of

SECRETIVE = "tests.support.secretive_handlers:executor"
ONE, TWO = ring_key("one"), ring_key("two")
OPEN = {"FABRIC_JOBS_SEALING": "open"}


def ring(*keys: str, **more: str) -> dict[str, str]:
    """The settings of a ring; none without keys."""
    return ({"FABRIC_JOBS_SEALING_KEYS": ",".join(keys)} if keys else {}) | more


def small_pool() -> dict[str, str]:
    """A pool of its own, which does not wait for the members of the one before, and ten slots."""
    return {"FABRIC_JOBS_POOL": new_id(), "FABRIC_JOBS_SLOTS": "10"}


@pytest.mark.parametrize("keys", [(ONE,), ()], ids=["sealed", "clear"])
async def test_whole_jobs_with_a_ring_leave_no_secret_in_anything_that_is_written(
    apache: Cluster, topic: str, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    """Topics, state files with their logs of writes, log lines, metrics and traces are searched.

    Without a ring the search finds the secret on the topic, in the state, in the executor's log and
    in its traces.
    """
    secret, logged = f"secret-{uuid.uuid4()}", f"logged-{uuid.uuid4()}"
    payload = {"secret": secret, "logged": logged}
    with run_collector() as collector:
        environment = apache.environment(topic) | collector.environment | ring(*keys)
        environment |= {"FABRIC_JOBS_MONITOR": "true", "FABRIC_JOBS_LOG_LEVEL": "debug"}
        async with AsyncExitStack() as stack:
            nodes = [
                await stack.enter_async_context(
                    facade(
                        log_file=str(tmp_path / f"facade{n}.log"),
                        **environment | {"FABRIC_JOBS_STATE_DIR": str(tmp_path / f"state{n}")},
                    )
                )
                for n in range(2)
            ]
            log_file = str(tmp_path / "executor.log")
            await stack.enter_async_context(
                executor(SECRETIVE, *nodes, log_file=log_file, **environment)
            )
            here, there = [
                await stack.enter_async_context(Fabric(node, "secretive")) for node in nodes
            ]
            seen: list[pb.WatchJobsResponse] = []
            watching = asyncio.create_task(watch(nodes[1], seen))
            stack.callback(watching.cancel)
            async with asyncio.timeout(20):
                while not seen:  # the first message says that the watch has begun
                    await asyncio.sleep(0.02)
            failing, passing, ending = new_id(), new_id(), new_id()
            for job_id, failures in ((failing, 2), (passing, 0), (ending, 1)):
                await here.create(job_id, payload | {"failures": failures})
            failed = await there.until(failing, "Failed")
            for job_id in (passing, ending):
                await there.until(job_id, "Completed")
            # Fabric, services, operators and the retried job get the plain text.
            assert secret in json.dumps(failed["errorDetails"])
            assert secret in json.dumps(failed["errorDetails"]["moreDetails"])
            retried = new_id()
            async with status_api(nodes[1]) as api:
                got = await api.GetJob(pb.GetJobRequest(job_id=failing))
                listed = await api.ListJobs(pb.ListJobsRequest())
                await api.RetryJob(pb.RetryJobRequest(job_id=failing, new_job_id=retried))
            await here.until(retried, "Failed")
            assert json.loads(got.payload) == payload | {"failures": 2}
            assert logged in got.log_tail
            assert secret in str(listed)
            assert secret in str(seen)
            page = await read_page(nodes[0], f"/monitor/jobs/{failing}")
            events = await read_page(nodes[0], f"/monitor/jobs/{failing}/events")
            assert page.count(secret) > 1
            assert secret in events
            assert "RuntimeError" in events
            assert logged in events
            # The create is known again on both facades, and another content is refused.
            for client in (here, there):
                again = await client.create(failing, payload | {"failures": 2})
                other = await client.create(failing, payload | {"failures": 1})
                assert (again.status_code, other.status_code) == (202, 409)
            async with topic_of(environment) as on_topic:
                records = await on_topic.records()
            written = {
                "topic": [value for r in records for value in (r.key, r.value) if value],
                "state": [f.read_bytes() for n in range(2) for f in files(tmp_path / f"state{n}")],
                "metrics": [(await read_page(node, "/metrics")).encode() for node in nodes],
            }
        written |= {
            "facade log": [(tmp_path / f"facade{n}.log").read_bytes() for n in range(2)],
            "state": [
                *written["state"],
                *(f.read_bytes() for n in range(2) for f in files(tmp_path / f"state{n}")),
            ],
            "executor log": [(tmp_path / "executor.log").read_bytes()],
            "traces": collector.bodies,
        }
    assert all(any(texts) for texts in written.values())
    assert len([value for value in written["topic"] if b"fabric.jobs." in value]) > 20
    found = {
        where: {
            word
            for word in (secret, logged)
            for text in texts
            if word.encode() in text or base64.b64encode(word.encode()).strip(b"=") in text
        }
        for where, texts in written.items()
    }
    clear = {where: {secret, logged} for where in ("topic", "state", "executor log")}
    clear |= {"traces": {secret}}
    expected = {"executor log": {logged}} if keys else clear
    assert {where: words for where, words in found.items() if words} == expected


def files(folder: Path) -> list[Path]:
    """The files of a state, and SQLite's own files beside it."""
    return [path for path in folder.iterdir() if path.is_file()]


async def watch(program: Program, seen: list[pb.WatchJobsResponse]) -> None:
    """Adds every applied event to the list, until the task is cancelled."""
    async with status_api(program) as api:
        async for response in api.WatchJobs(pb.WatchJobsRequest()):
            seen += [response]


async def metric(program: Program, series: str) -> float:
    """The value of a series."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", await read_page(program, "/metrics"), re.M)
    assert found
    return float(found[1])


@asynccontextmanager
async def pair(
    environment: dict[str, str], folder: Path, *rings: dict[str, str]
) -> AsyncIterator[tuple[list[Fabric], list[Program]]]:
    """Two facades with these rings, a client of each, and an executor."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                facade(**environment | settings, FABRIC_JOBS_STATE_DIR=str(folder / f"{n}"))
            )
            for n, settings in enumerate(rings)
        ]
        clients = [await stack.enter_async_context(Fabric(each, "secretive")) for each in nodes]
        await stack.enter_async_context(executor(SECRETIVE, *nodes, **environment | small_pool()))
        yield clients, nodes


async def test_ring_is_introduced_and_rotated_while_jobs_run(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """At each step two facades with neighbouring settings run all jobs, and know the earlier."""
    environment = apache.environment(topic)
    payload = {"secret": "a secret", "logged": "", "failures": 1}
    steps = [
        ring(),
        ring(ONE, **OPEN),
        ring(ONE),
        ring(ONE, TWO),
        ring(TWO, ONE),
    ]
    job_ids: list[str] = []
    for before, after in pairwise(steps):
        job_ids += (new := [new_id(), new_id()])
        async with pair(environment, tmp_path, before, after) as (clients, nodes):
            for client, job_id in zip(clients, new, strict=True):
                assert (await client.create(job_id, payload)).status_code == 202
            for client, node in zip(clients, nodes, strict=True):
                for job_id in job_ids:
                    await client.until(job_id, "Completed")
                    assert (await client.create(job_id, payload)).status_code == 202
                assert (
                    await metric(node, 'fabric_jobs_unopened_secrets_total{reason="unknown_key"}')
                    == 0
                )
    async with topic_of(environment) as log:
        values = [record.value or b"" for record in await log.records()]
    assert any(b'"1:one:' in value for value in values)
    assert any(b'"1:two:' in value for value in values)
    assert any(b"a secret" in value for value in values)
    # The first key is still needed for the jobs that it sealed.
    async with facade(**environment | ring(TWO)) as node, status_api(node) as api:
        async with Fabric(node, "secretive") as client:
            await client.create(last := new_id(), payload)
        keys = [
            (await api.GetJob(pb.GetJobRequest(job_id=job_id))).job.sealed_key_id
            for job_id in (last, *job_ids)
        ]
    assert keys[0] == ""
    assert set(keys) == {"", "one"}
    missing, complete = (Report(**environment | ring(*held)) for held in ((TWO,), (TWO, ONE)))
    assert missing.verdicts("sealing") == ["failed"]
    assert "Add the key one to FABRIC_JOBS_SEALING_KEYS: jobs need it until 2" in missing.text
    assert complete.verdicts("sealing") == ["ok"]
    assert re.search(r"one: needed until 2.* UTC, if nothing more is sealed with it", complete.text)
    assert ONE.partition(":")[2] not in complete.text


async def test_missing_key_stops_only_what_needs_it(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """The job is shown without its secrets, and starts once the key is there."""
    environment = apache.environment(topic)
    payload = {"journal": str(tmp_path / "journal")}
    waiting, other, failed = new_id(), new_id(), new_id()
    # More than an executor has slots.
    more = [new_id() for _ in range(30)]
    async with (
        facade(**environment | ring(ONE)) as here,
        Fabric(here, "journaled") as fabric,
        Fabric(here, "fails") as failing,
    ):
        async with executor(HANDLERS, here, **environment | small_pool()):
            await failing.create(failed)
            await failing.until(failed, "Failed")
        for job_id in (waiting, *more):
            await fabric.create(job_id, payload)
    async with (
        facade(**environment | ring(TWO)) as here,
        Fabric(here, "journaled") as fabric,
        Fabric(here, "fails") as failing,
        status_api(here) as api,
        executor(HANDLERS, here, **environment | small_pool()),
    ):
        await fabric.create(other, payload)
        await fabric.until(other, "Completed")
        assert (await fabric.state(waiting)).json()["status"] == "NotStarted"
        error = (await failing.state(failed)).json()["errorDetails"]
        assert error["errorCode"] == "RegionClosed"
        assert "sealed with the key one, which this facade does not have" in error["message"]
        got = await api.GetJob(pb.GetJobRequest(job_id=waiting))
        assert (got.job.sealed_key_id, got.payload) == ("one", b"")
        again = await fabric.create(waiting, payload)
        assert again.status_code == 503
        assert "SEALED" in again.text
        assert (await metric(here, 'fabric_jobs_unopened_secrets_total{reason="unknown_key"}')) > 0
        cancelled = new_id()
        await fabric.create(cancelled, payload | {"until": str(tmp_path / "never")})
        await fabric.cancel(cancelled)
        await fabric.until(cancelled, "Cancelled")
    async with (
        facade(**environment | ring(TWO, ONE)) as here,
        Fabric(here, "journaled") as fabric,
        executor(HANDLERS, here, **environment | small_pool()),
    ):
        for job_id in (waiting, *more):
            await fabric.until(job_id, "Completed")
        assert (await fabric.create(waiting, payload)).status_code == 202


def test_check_of_a_ring_says_which_keys_no_job_needs(apache: Cluster, topic: str) -> None:
    """`check` also says that the facade only opens, and refuses weak keys."""
    environment = apache.environment(topic)
    fresh = Report("--create", **environment | ring(TWO, ONE))
    assert fresh.verdicts("sealing") == ["ok"]
    assert "seals; keys: two, one" in fresh.text
    assert "one: no job needs it. Remove it, unless it will be the first key" in fresh.text
    opens = Report(**environment | ring(ONE, **OPEN))
    assert opens.verdicts("sealing") == ["warning"]
    weak = Report(**environment | ring("weak:c2hvcnQ="))
    assert weak.verdicts("settings") == ["failed"]
    assert "The key weak has 5 bytes" in weak.text
