"""What Fabric's sample backend gets wrong and no other test here shows to be right.

The whole list, with the tests of the rest, is in docs/guarantees.md.
"""

import shutil
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, Program, executor, facade, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_cancel_of_a_completed_job_changes_nothing(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The job stays Completed on every replica, after any number of cancels."""
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:
        job_id = new_id()
        await one.create(job_id)
        completed = await one.until(job_id, "Completed")
        answers = [await who.cancel(job_id) for who in (two, one, two)]
        after = await one.state(job_id)

    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json() for answer in (*answers, after)] == [completed] * 4


async def test_request_ids_of_a_create_are_in_the_executors_log(
    apache: Cluster, topic: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """`ActivityId` and `RequestId` are in the executor's line about the failure."""
    ids = {"ActivityId": "activity-of-a-user", "RequestId": "request-of-Fabric"}
    environment = apache.environment(topic)
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "raises", headers=ids) as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id)
        await fabric.until(job_id, "Failed")
    lines = capfd.readouterr().err.splitlines()

    (line,) = [line for line in lines if "no such region" in line and job_id in line]
    assert [name for name, value in ids.items() if f"{name}={value}" not in line] == []


async def test_replica_lost_with_its_disk_loses_no_job(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """After kill -9 and the loss of its folder, the other replica and the successor agree."""
    environment = apache.environment(topic)
    lost, kept = tmp_path / "lost", tmp_path / "kept"
    journal, never = str(tmp_path / "journal"), str(tmp_path / "never")
    payloads = {new_id(): {"journal": journal} for _ in range(20)}
    endless = {new_id(): {"journal": journal, "until": never} for _ in range(5)}
    async with (
        facade(**environment, FABRIC_JOBS_STATE_DIR=str(lost)) as one,
        facade(**environment, FABRIC_JOBS_STATE_DIR=str(kept)) as two,
        executor(HANDLERS, two, **environment),
    ):
        async with Fabric(one, "journaled") as fabric:
            for job_id, payload in (payloads | endless).items():
                assert (await fabric.create(job_id, payload)).status_code == 202
            told = {job_id: await fabric.until(job_id, "Completed") for job_id in payloads} | {
                job_id: await fabric.until(job_id, "InProgress") for job_id in endless
            }
            await one.kill()
        shutil.rmtree(lost)
        async with facade(**environment, FABRIC_JOBS_STATE_DIR=str(lost)) as successor:
            for replica in (two, successor):
                async with Fabric(replica, "journaled") as fabric:
                    states = {job_id: (await fabric.state(job_id)).json() for job_id in told}
                    assert states == told
