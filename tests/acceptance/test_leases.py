"""Executors that die or send no heartbeats, seen from outside."""

import asyncio
import signal
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import (
    HANDLERS,
    Fabric,
    await_content,
    executor,
    facade,
    new_id,
    new_pool,
    status_api,
)

SOON = {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic and short leases."""
    return apache.environment(topic) | SOON


async def test_job_of_a_killed_executor_is_run_by_another(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """After kill -9 and a lease the attempt counts as failed, and the next one completes."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    async with facade(**environment) as one, Fabric(one, "retried") as fabric:
        job_id = new_id()
        async with executor(HANDLERS, one, **environment) as first:
            await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
            started = await fabric.until(job_id, "InProgress")
            await await_content(journal)
            await first.kill()
        go.touch()
        async with executor(HANDLERS, one, **environment | new_pool()):
            ended = await fabric.until(job_id, "Completed")

    assert ended["startTimeUtc"] == started["startTimeUtc"]
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{job_id} 2"]


async def test_job_of_a_killed_executor_without_retries_fails(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The job does not stay InProgress: it fails, and the error says what happened."""
    journal = tmp_path / "journal"
    payload = {"journal": str(journal), "until": str(tmp_path / "never")}
    async with facade(**environment) as one, Fabric(one, "journaled") as fabric:
        job_id = new_id()
        async with executor(HANDLERS, one, **environment) as runner:
            await fabric.create(job_id, payload)
            await await_content(journal)
            await runner.kill()
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]

    assert error["errorCode"] == "ExecutorLost"


async def test_facade_silent_for_longer_than_a_lease_costs_no_run(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """SIGSTOP: its connections stay open. The executor leaves it for the other facade in time."""
    environment = environment | {"FABRIC_JOBS_LEASE_S": "4"}
    journal, go = tmp_path / "journal", tmp_path / "go"
    async with (
        facade(**environment) as silent,
        facade(**environment) as well,
        executor(HANDLERS, silent, well, **environment) as runner,
        Fabric(well, "journaled") as fabric,
        status_api(well) as stub,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
        await await_content(journal)
        silent.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(2 * 4)  # two leases
            listed = await stub.ListExecutors(pb.ListExecutorsRequest())
            go.touch()
            ended = await fabric.until(job_id, "Completed", "Failed")
        finally:
            silent.process.send_signal(signal.SIGCONT)

    assert [one.executor_id for one in listed.executors] == [runner.ready["executor_id"]]
    assert ended["status"] == "Completed"
    assert journal.read_text().splitlines() == [f"{job_id} 1"]


async def test_run_whose_executor_sends_heartbeats_outlasts_its_lease(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The run also stays when the facade that heard its heartbeats was killed."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    payload = {"journal": str(journal), "until": str(go)}
    full = environment | {"FABRIC_JOBS_SLOTS": "1"}
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        executor(HANDLERS, one, two, **full),
        Fabric(two, "retried") as fabric,
        status_api(two) as status,
    ):
        job_id, measure = new_id(), new_id()
        await fabric.create(job_id, payload)
        await await_content(journal)  # the executor has the grant that the killed facade sent
        await one.kill()
        # The end of another executor's lease shows that a lease has passed.
        async with executor(HANDLERS, two, **environment | new_pool()) as lost:
            await fabric.create(measure, payload)
            await fabric.until(measure, "InProgress")
            await lost.kill()
        async with asyncio.timeout(30):
            request = pb.GetJobRequest(job_id=measure)
            while (await status.GetJob(request)).job.attempt == 1:
                await asyncio.sleep(0.1)
        go.touch()
        await fabric.until(job_id, "Completed")

    attempts = [line for line in journal.read_text().splitlines() if line.startswith(job_id)]
    assert attempts == [f"{job_id} 1"]


async def test_executor_that_was_stopped_for_a_lease_changes_nothing_when_it_returns(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Its run was given to another executor, and its report is refused."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    async with facade(**environment) as one, Fabric(one, "retried") as fabric:
        job_id = new_id()
        async with executor(HANDLERS, one, **environment) as first:
            await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
            await await_content(journal)
            first.process.send_signal(signal.SIGSTOP)
            async with executor(HANDLERS, one, **environment | new_pool()):
                go.touch()
                ended = await fabric.until(job_id, "Completed")
            first.process.send_signal(signal.SIGCONT)
            assert await first.stop() == 0
        after = (await fabric.state(job_id)).json()

    assert after == ended
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{job_id} 2"]


async def test_stopping_executor_hands_back_a_job_that_does_not_end(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """At SIGTERM the next attempt is dispatched at once, and no failure is counted."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    environment |= {"FABRIC_JOBS_LEASE_S": "60", "FABRIC_JOBS_DRAIN_S": "0.1"}
    async with (
        facade(**environment) as one,
        Fabric(one, "journaled") as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        async with executor(HANDLERS, one, **environment) as first:
            await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
            await await_content(journal)
            assert await first.stop() == 0
        back = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
        go.touch()
        async with executor(HANDLERS, one, **environment | new_pool()):
            await fabric.until(job_id, "Completed")

    assert (back.attempt, back.failures, back.phase) == (2, 0, pb.JOB_PHASE_QUEUED)
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{job_id} 2"]
