"""Programs of two versions on one topic: a rolling upgrade, and events of a later version."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import EventData, UnknownEvent
from fabric_jobs.contract.jobs import JobInstanceStatus, Progress
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id, status_api
from tests.support.rolling import PATIENCE_S, Load, Place, await_equal_jobs, list_jobs
from tests.support.topic import beside, put, topic_of

OLDER = "tests.support.older_facade"
CANCELLED = 4


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic and a new pool."""
    return apache.environment(topic)


@pytest.mark.timeout(300)
async def test_rolling_upgrade_loses_no_job_and_keeps_replicas_equal(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Two replicas of a version without cancels are replaced by today's, one by one, under load."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    brief = {"journal": str(journal)}
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                Place(
                    facade,
                    **environment,
                    module=OLDER,
                    FABRIC_JOBS_STATE_DIR=str(tmp_path / name),
                    FABRIC_JOBS_UNREADY_S="0.5",
                )
            )
            for name in ("one", "two")
        ]
        replicas = [one.program, two.program]
        await stack.enter_async_context(executor(HANDLERS, *replicas, **environment))
        users = [await stack.enter_async_context(Fabric(replica, "brief")) for replica in replicas]
        first, second = [
            await stack.enter_async_context(Fabric(replica, "reluctant")) for replica in replicas
        ]
        jobs = [new_id() for _ in range(CANCELLED)]
        for job_id in jobs:
            await second.create(job_id, brief | {"until": str(go)})
            await second.until(job_id, "InProgress")
        load = Load(users, brief)
        async with load.going_on():
            # The executor's stream moves to the older replica.
            await one.replace(module="fabric_jobs.facade")
            for job_id in jobs:
                assert (await first.cancel(job_id)).json()["status"] == "InProgress"
            undecided = [await second.cancel(job_id) for job_id in jobs]
            between = await list_jobs(two.program)
            await two.replace(module="fabric_jobs.facade")
            decided = [await second.cancel(job_id) for job_id in jobs]
        go.touch()
        ends = [await second.until(job_id, "Cancelled", within_s=PATIENCE_S) for job_id in jobs]
        after = await await_equal_jobs(one.program, two.program)

    assert {between[job_id].phase for job_id in jobs} == {pb.JOB_PHASE_STOPPING}
    assert {answer.status_code for answer in undecided} == {503}
    assert "later version" in undecided[0].json()["message"]
    assert [answer.json()["status"] for answer in decided] == ["InProgress"] * CANCELLED
    assert all(end["startTimeUtc"] <= end["endTimeUtc"] for end in ends)
    assert set(load.ends.values()) == {"Completed"}
    assert after.keys() == {*load.ends, *jobs}
    assert {after[job_id].status for job_id in load.ends} == {pb.JOB_INSTANCE_STATUS_COMPLETED}


def later(last: events.Event) -> UnknownEvent:
    """An event that a later version may append next, with an unknown type."""
    data = EventData(sequence=last.data.sequence + 1, follows=last.id, state=last.data.state)
    return UnknownEvent(
        id=new_id(),
        source="/later",
        subject=last.subject,
        time=last.time,
        type="fabric.jobs.paused",
        data=data,
    )


async def test_running_job_survives_an_event_of_a_later_version(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The job is shown and not decided upon until its next known event; other jobs continue."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    job_id = new_id()
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "journaled") as fabric,
        status_api(one) as status,
        topic_of(environment) as topic,
    ):
        await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
        job = pb.Job()
        async with asyncio.timeout(30):
            while not job.progress.fraction:
                job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
                await asyncio.sleep(0.05)
        last = (await topic.events_of(job_id))[-1]
        paused = later(last)
        await put(environment, paused)
        other = beside(job_id)
        await fabric.create(other, {"journal": str(journal)})
        await fabric.until(other, "Completed")
        shown, undecided = await fabric.state(job_id), await fabric.cancel(job_id)
        go.touch()  # the run ends, and its report waits for whoever decides
        resumed = replace(
            later(paused).data, state=replace(last.data.state, progress=Progress(0.6, "resumed"))
        )
        known = events.Progressed(
            id=new_id(), source="/later", subject=job_id, time=last.time, data=resumed
        )
        await put(environment, known)
        await fabric.until(job_id, "Completed")
        told = [events.type_of(event) for event in await topic.events_of(job_id)]

    assert shown.json()["status"] == "InProgress"
    assert undecided.status_code == 503
    assert "fabric.jobs.paused" in undecided.json()["message"]
    assert [name.rpartition(".")[2] for name in told] == [
        *("requested", "started", "progressed", "paused", "progressed", "completed")
    ]
    assert journal.read_text().splitlines() == [f"{job_id} 1", f"{other} 1"]


async def test_event_of_a_later_version_after_a_final_event_is_ignored(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A final state is final in every version."""
    job_id = new_id()
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one) as fabric,
        topic_of(environment) as topic,
    ):
        await fabric.create(job_id)
        completed = await fabric.until(job_id, "Completed")
        before = (await list_jobs(one))[job_id]
        last = (await topic.events_of(job_id))[-1]
        running = replace(last.data.state, status=JobInstanceStatus.IN_PROGRESS)
        event = later(last)
        await put(environment, replace(event, data=replace(event.data, state=running)))
        # A replica that has read the next record of the partition has read this one.
        other = beside(job_id)
        await fabric.create(other)
        await fabric.until(other, "Completed")
        after = (await list_jobs(one))[job_id]

        assert (await fabric.state(job_id)).json() == completed
    assert after == before
