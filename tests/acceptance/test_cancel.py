"""Cancels before, during and after a run."""

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
    status_api,
)
from tests.support.topic import beside

#: Heartbeats are too rare to carry a cancel, and leases too long to end without heartbeats.
PUSH_ALONE = {"FABRIC_JOBS_HEARTBEAT_S": "600", "FABRIC_JOBS_LEASE_S": "3600"}
SOON = {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic and a new pool."""
    return apache.environment(topic)


def until_cancelled(folder: Path, then: str) -> dict[str, str]:
    """The payload of a run that ends only by a cancel; `then` is the handler's reaction."""
    return {"journal": str(folder / "journal"), "until": str(folder / "never"), "then": then}


async def test_cancel_on_any_replica_is_pushed_to_the_executor_at_once(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The executor has one stream, to one replica, and hears of the cancel before any heartbeat."""
    environment |= PUSH_ALONE
    journal, payload = tmp_path / "journal", until_cancelled(tmp_path, "stop")
    job_ids = [new_id(), new_id()]
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        executor(HANDLERS, one, two, **environment),
        Fabric(one, "cancellable") as here,
        Fabric(two, "cancellable") as there,
    ):
        for job_id, who in zip(job_ids, (here, there), strict=True):
            await here.create(job_id, payload)
            await here.until(job_id, "InProgress")
            assert (await who.cancel(job_id)).json()["status"] == "InProgress"
            await here.until(job_id, "Cancelled")

    assert journal.read_text().splitlines() == [
        line for job_id in job_ids for line in (f"{job_id} 1", f"{job_id} cancelled")
    ]


async def test_run_that_fails_after_a_cancel_is_not_retried(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A failure that would be retried ends a job that is being cancelled."""
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "cancellable") as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        await fabric.create(job_id, until_cancelled(tmp_path, "fail"))
        await fabric.until(job_id, "InProgress")
        await fabric.cancel(job_id)
        await fabric.until(job_id, "Cancelled")
        job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert (job.attempt, job.failures) == (1, 1)
    # Only a job that failed keeps an error.
    assert not job.HasField("error")


async def test_cancelled_run_whose_executor_is_lost_becomes_cancelled(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The lease ends before the cancel grace does. No executor gets the job again."""
    environment |= SOON
    journal = tmp_path / "journal"
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment) as runner,
        Fabric(one, "cancellable") as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        await fabric.create(job_id, until_cancelled(tmp_path, "stop"))
        await await_content(journal)
        runner.process.send_signal(signal.SIGSTOP)
        assert (await fabric.cancel(job_id)).json()["status"] == "InProgress"
        await runner.kill()
        await fabric.until(job_id, "Cancelled")
        job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert (job.attempt, job.failures, job.HasField("error")) == (1, 1, False)
    assert journal.read_text().splitlines() == [f"{job_id} 1"]


async def test_handler_that_returns_despite_a_cancel_completes_its_job(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The completion stands, and a second cancel changes nothing."""
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "cancellable") as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id, until_cancelled(tmp_path, "return"))
        await fabric.until(job_id, "InProgress")
        assert (await fabric.cancel(job_id)).json()["status"] == "InProgress"
        completed = await fabric.until(job_id, "Completed", "Cancelled")
        again = await fabric.cancel(job_id)

    assert completed["status"] == "Completed"
    assert again.json() == completed


async def test_job_cancelled_before_its_start_never_runs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Its dispatch is still on the topic; the claim of an executor that reads it is refused."""
    journal = tmp_path / "journal"
    cancelled = new_id()
    after = beside(cancelled)
    async with facade(**environment) as one, Fabric(one, "journaled") as fabric:
        await fabric.create(cancelled, {"journal": str(journal)})
        ended = (await fabric.cancel(cancelled)).json()
        await fabric.create(after, {"journal": str(journal)})
        async with executor(HANDLERS, one, **environment):
            await fabric.until(after, "Completed")
        state = (await fabric.state(cancelled)).json()

    assert ended["status"] == "Cancelled"
    assert state == ended
    assert journal.read_text().splitlines() == [f"{after} 1"]


async def test_job_waiting_for_its_next_attempt_is_in_progress_and_can_be_cancelled(
    environment: dict[str, str],
) -> None:
    """It shows the start of its first attempt. After the cancel it is not run again."""
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "patient") as fabric,
        status_api(one) as status,
    ):
        job_id, job = new_id(), pb.Job()
        await fabric.create(job_id)
        async with asyncio.timeout(30):
            while job.phase != pb.JOB_PHASE_WAITING:
                job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
                await asyncio.sleep(0.05)
        waiting = (await fabric.state(job_id)).json()
        cancelled = (await fabric.cancel(job_id)).json()

    assert waiting.keys() == {"status", "startTimeUtc"}
    assert waiting["status"] == "InProgress"
    assert cancelled["status"] == "Cancelled"
    assert cancelled["startTimeUtc"] == waiting["startTimeUtc"]
