"""Handlers in processes of their own, seen from outside."""

import asyncio
import time
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.processes import await_gone, await_pid
from tests.support.programs import Fabric, executor, facade, new_id, new_pool, status_api

HANDLERS = "tests.support.process_handlers:executor"
#: Heartbeats are too rare to carry a cancel or a stop, and leases too long to end without them.
PUSH_ALONE = {"FABRIC_JOBS_HEARTBEAT_S": "600", "FABRIC_JOBS_LEASE_S": "3600"}
#: Seconds after the end of its time in which a handler's job has ended and its process is gone.
PROMISED_S = 1.0
#: Seconds that a loaded machine may take for everything else between two readings of the clock.
SLACK_S = 1.0


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic."""
    return apache.environment(topic)


async def test_run_timeout_ends_the_process_of_a_handler_at_once(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It waits for no regular heartbeat. The handler holds the interpreter's lock."""
    environment |= PUSH_ALONE
    timeout_s, grace_s = 1.0, 0.5
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "timed") as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"pid": str(tmp_path / "pid")})
        process_id = await await_pid(tmp_path / "pid")
        begin = time.monotonic()
        error = (await fabric.until(job_id, "Failed"))["errorDetails"]
        failed_s = time.monotonic() - begin
        await await_gone(process_id)
        gone_s = time.monotonic() - begin

    assert error["errorCode"] == "RunTimedOut"
    assert failed_s < timeout_s + PROMISED_S + SLACK_S
    assert gone_s < timeout_s + grace_s + PROMISED_S + SLACK_S


async def test_cancel_ends_the_process_of_a_handler_that_ignores_it_after_its_grace(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The job is Cancelled, and the executor runs the next one."""
    environment |= PUSH_ALONE | {"FABRIC_JOBS_SLOTS": "1"}
    grace_s = 1.0
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "holding-gil") as fabric,
        Fabric(one, "quick") as quick,
    ):
        job_id, next_id = new_id(), new_id()
        await fabric.create(job_id, {"pid": str(tmp_path / "pid")})
        process_id = await await_pid(tmp_path / "pid")
        begin = time.monotonic()
        await fabric.cancel(job_id)
        await fabric.until(job_id, "Cancelled")
        await await_gone(process_id)
        took_s = time.monotonic() - begin
        await quick.create(next_id)
        await quick.until(next_id, "Completed")

    assert grace_s <= took_s < grace_s + PROMISED_S + SLACK_S


async def test_executor_keeps_its_runs_and_starts_others_while_a_process_holds_the_lock(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The handler holds the interpreter's lock for longer than two leases, and completes."""
    environment |= {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "holding-gil-briefly") as fabric,
        Fabric(one, "killed") as killed,
        Fabric(one, "quick") as quick,
        status_api(one) as status,
    ):
        job_id, killed_id, *others = [new_id() for _ in range(5)]
        await fabric.create(job_id, {"pid": str(tmp_path / "pid")})
        await await_pid(tmp_path / "pid")
        await killed.create(killed_id)
        for other in others:
            await quick.create(other)
            await quick.until(other, "Completed")
        await killed.until(killed_id, "Completed")
        during = (await fabric.state(job_id)).json()["status"]
        await fabric.until(job_id, "Completed")
        job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert during == "InProgress"
    assert (job.attempt, job.failures) == (1, 0)


async def test_job_of_a_killed_executor_resumes_from_its_checkpoint(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """After kill -9 the executor's process is gone, too. Another executor runs attempt 2."""
    environment |= {"FABRIC_JOBS_LEASE_S": "2", "FABRIC_JOBS_HEARTBEAT_S": "0.3"}
    payload = {"pid": str(tmp_path / "pid"), "until": str(tmp_path / "never")}
    async with (
        facade(**environment) as one,
        Fabric(one, "resuming") as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        async with executor(HANDLERS, one, **environment) as first:
            await fabric.create(job_id, payload)
            process_id = await await_pid(tmp_path / "pid")
            request = pb.GetJobRequest(job_id=job_id)
            while (await status.GetJob(request)).checkpoint != b"7":
                await asyncio.sleep(0.02)
            await first.kill()
            await await_gone(process_id)
        async with executor(HANDLERS, one, **environment | new_pool()):
            await fabric.until(job_id, "Completed")
        job = (await status.GetJob(request)).job

    assert (job.attempt, job.progress.message) == (2, "resumed at 7")


async def test_killed_process_of_a_handler_fails_its_attempt_with_a_code_and_its_last_log_lines(
    environment: dict[str, str],
) -> None:
    """The next attempt completes. Fabric is told the signal, and not the lines."""
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "exiting") as exiting,
        Fabric(one, "killed") as killed,
        status_api(one) as status,
    ):
        job_ids = [new_id(), new_id()]
        await exiting.create(job_ids[0])
        await killed.create(job_ids[1])
        failed = await exiting.until(job_ids[0], "Failed")
        await killed.until(job_ids[1], "Completed")
        first, second = [await status.GetJob(pb.GetJobRequest(job_id=job_id)) for job_id in job_ids]

    assert failed["errorDetails"]["errorCode"] == "HandlerProcessDied"
    assert "exited with code 3" in failed["errorDetails"]["message"]
    assert "about to exit" not in str(failed)
    assert first.log_tail.endswith("INFO process_handlers: about to exit\n")
    assert (second.job.attempt, second.job.failures) == (2, 1)
