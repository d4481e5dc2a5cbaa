"""What a cancel does, and what it leaves as it was."""

import asyncio
import signal
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id, status_api, written
from tests.support.topic import beside

#: No heartbeat after the first comes in time to carry a cancel, and no lease ends without one.
PUSH_ALONE = {"FABRIC_JOBS_HEARTBEAT_S": "600", "FABRIC_JOBS_LEASE_S": "3600"}
SOON = {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """A topic and a pool of the test's own."""
    return apache.environment(topic) | {"FABRIC_JOBS_POOL": topic}


def until_cancelled(folder: Path, then: str) -> dict[str, str]:
    """The payload of a run that ends only by a cancel, and how."""
    return {"journal": str(folder / "journal"), "until": str(folder / "never"), "then": then}


async def test_a_cancel_is_pushed_whichever_replica_takes_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The executor has one stream, to one of them, and is told on it without a heartbeat."""
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


async def test_a_run_that_fails_while_it_stops_is_not_tried_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A failure that another attempt would follow is the end of a cancelled job."""
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
    assert job.error.message == "RuntimeError: while it stopped"


async def test_a_cancelled_run_whose_executor_is_lost_is_cancelled(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The lease ends before the grace does, and nobody is given the job again."""
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
        await written(journal)
        runner.process.send_signal(signal.SIGSTOP)
        assert (await fabric.cancel(job_id)).json()["status"] == "InProgress"
        await runner.kill()
        await fabric.until(job_id, "Cancelled")
        job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert (job.attempt, job.error.error_code) == (1, "ExecutorLost")
    assert journal.read_text().splitlines() == [f"{job_id} 1"]


async def test_a_completion_that_comes_first_stays_completed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A handler that returns in spite of the cancel has completed its job."""
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


async def test_a_job_that_is_cancelled_before_its_start_never_runs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Its dispatch lies on the topic still: whoever reads it is refused."""
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


async def test_a_job_that_waits_for_its_next_attempt_is_in_progress_and_can_be_cancelled(
    environment: dict[str, str],
) -> None:
    """With its first start; nobody runs it any more once it is cancelled."""
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
