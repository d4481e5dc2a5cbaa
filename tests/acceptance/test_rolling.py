"""A rolling restart, as an orchestrator does it, under load."""

from collections import defaultdict
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, await_lines, executor, facade, new_id
from tests.support.rolling import PATIENCE_S, Load, Place, await_equal_jobs

DRAIN_S = 2
#: Seconds that a stopping facade answers on: its users ask both replicas, whichever is ready.
UNREADY_S = 0.5
LONG_RUNS = 6
EXECUTORS = 3


@pytest.mark.timeout(300)
async def test_rolling_restart_loses_no_job_and_repeats_only_runs_longer_than_the_drain(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """Two facades and three executors are replaced in turn, and every job completes."""
    journal, go = tmp_path / "journal", tmp_path / "go"
    brief = {"journal": str(journal)}
    long = brief | {"until": str(go)}
    environment = apache.environment(topic) | {
        "FABRIC_JOBS_DRAIN_S": str(DRAIN_S),
        "FABRIC_JOBS_UNREADY_S": str(UNREADY_S),
    }
    long_runs = [new_id() for _ in range(LONG_RUNS)]
    async with AsyncExitStack() as stack:
        facades = [
            await stack.enter_async_context(
                Place(facade, **environment, FABRIC_JOBS_STATE_DIR=str(tmp_path / name))
            )
            for name in ("one", "two")
        ]
        replicas = [place.program for place in facades]
        executors = [
            await stack.enter_async_context(
                Place(
                    partial(executor, HANDLERS, *replicas),
                    **environment,
                    FABRIC_JOBS_EXECUTOR_NAME=f"executor-{number}",
                )
            )
            for number in range(EXECUTORS)
        ]
        fabric = await stack.enter_async_context(Fabric(replicas[0], "journaled"))
        users = [await stack.enter_async_context(Fabric(replica, "brief")) for replica in replicas]
        for job_id in long_runs:
            await fabric.create(job_id, long)
        await await_lines(journal, LONG_RUNS)
        load = Load(users, brief)
        async with load.going_on():
            for place in (*facades, *executors):
                await place.replace()
        go.touch()
        for job_id in long_runs:
            await fabric.until(job_id, "Completed", within_s=PATIENCE_S)
        jobs = await await_equal_jobs(*(place.program for place in facades))

    runs = defaultdict(list)
    for line in journal.read_text().splitlines():
        job_id, attempt = line.split()
        runs[job_id].append(int(attempt))
    assert set(load.ends.values()) == {"Completed"}
    assert jobs.keys() == runs.keys() == {*load.ends, *long_runs}
    assert {job.status for job in jobs.values()} == {pb.JOB_INSTANCE_STATUS_COMPLETED}
    # Each job ran once. It ran as attempt 2 if attempt 1 was granted to a draining executor, which
    # hands the job back without a run.
    assert {job_id: ran for job_id in load.ends if len(ran := runs[job_id]) != 1} == {}
    for job_id in long_runs:
        job = jobs[job_id]
        # One hand-back by the executor that held it, and at most one by each other executor.
        assert 1 < job.attempt <= 1 + EXECUTORS
        assert runs[job_id] == sorted({*runs[job_id]})
        assert (runs[job_id][0], runs[job_id][-1]) == (1, job.attempt)
        assert job.failures == 0
