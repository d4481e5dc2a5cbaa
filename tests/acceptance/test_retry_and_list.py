"""Lists and retries of ended jobs over the gRPC API."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.grpc_errors import raised
from tests.support.programs import TENANT, Fabric, Program, facade, new_id, status_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

Replicas = tuple[Program, Program]


async def test_list_of_exhausted_jobs_has_only_jobs_without_attempts_left(
    replicas: Replicas, runner: Program
) -> None:
    """A handler's failures and a run's timeout exhaust a job; a permanent error does not."""
    made: dict[str, str] = {}
    for job_type in ("hopeless", "slow", "fails"):
        async with Fabric(replicas[0], job_type) as fabric:
            made[job_type] = new_id()
            await fabric.create(made[job_type])
            await fabric.until(made[job_type], "Failed")
    async with status_api(replicas[1]) as stub:
        listed = await stub.ListJobs(pb.ListJobsRequest(exhausted=True))
        shown = {
            name: (await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job.exhausted
            for name, job_id in made.items()
        }

    assert [job.job_id for job in listed.jobs] == [made["slow"], made["hopeless"]]
    assert shown == {"hopeless": True, "slow": True, "fails": False}


async def test_list_with_filters_has_the_jobs_that_match(replicas: Replicas) -> None:
    """Each filter works on a replica that did not take the jobs."""
    item_type, job_type = f"Item-{new_id()[:8]}", f"job-{new_id()[:8]}"
    async with Fabric(replicas[0], job_type, item_type) as fabric, status_api(replicas[1]) as stub:

        async def listed(**filters: object) -> list[str]:
            request = pb.ListJobsRequest(**{"job_type": job_type, **filters})  # type: ignore[arg-type]
            return [job.job_id for job in (await stub.ListJobs(request)).jobs]

        made = [new_id() for _ in range(3)]
        for job_id in made:
            await fabric.create(job_id)
        jobs = [(await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job for job_id in made]
        second = jobs[1].create_time
        later = Timestamp()
        later.FromDatetime(second.ToDatetime() + timedelta(microseconds=1))
        newest_first = made[::-1]

        assert await listed() == newest_first
        assert await listed(job_type="", item_type=item_type) == newest_first
        assert await listed(item_type="another") == []
        assert await listed(workspace_id=jobs[0].workspace_id.upper()) == newest_first
        assert await listed(workspace_id=new_id()) == []
        assert await listed(item_id=jobs[0].item_id) == newest_first
        assert await listed(item_id=new_id()) == []
        assert await listed(exhausted=True) == []
        assert await listed(start_create_time=second) == newest_first[:2]
        assert await listed(end_create_time=second) == newest_first[2:]
        assert await listed(start_create_time=second, end_create_time=later) == [made[1]]


async def test_retried_job_runs_the_same_content_under_a_new_id(
    replicas: Replicas, runner: Program
) -> None:
    """Many retries at once, on both replicas, make one new job; the ended job stays as it was."""
    async with Fabric(replicas[0], "retried") as fabric, status_api(replicas[1]) as stub:
        job_id, new_job_id = new_id(), new_id()
        payload = {"journal": "/dev/null", "extra": [1.5, None]}
        await fabric.create(job_id, payload)
        await fabric.until(job_id, "Completed")
        before = await stub.GetJob(pb.GetJobRequest(job_id=job_id))
        retry = pb.RetryJobRequest(job_id=job_id.upper(), new_job_id=new_job_id.upper())
        async with status_api(replicas[0]) as other:
            first, *more = await asyncio.gather(
                *(each.RetryJob(retry) for each in (stub, other) for _ in range(5))
            )
        await fabric.until(new_job_id, "Completed")
        after = await stub.GetJob(pb.GetJobRequest(job_id=job_id))
        new = await stub.GetJob(pb.GetJobRequest(job_id=new_job_id))
        again = await stub.RetryJob(retry)
        # A create by Fabric with the same id and content is the same job.
        accepted = await fabric.create(new_job_id, payload)

    assert {answer.job.job_id for answer in (first, *more, again)} == {new_job_id}
    assert {answer.job.create_time.ToDatetime() for answer in (first, *more, again)} == {
        new.job.create_time.ToDatetime()
    }
    assert (before.job.replaced_by, after.job.replaced_by) == ("", new_job_id)
    after.job.replaced_by = ""
    assert after.job == before.job
    assert new.payload == before.payload
    assert new.job.status == pb.JOB_INSTANCE_STATUS_COMPLETED
    for field in ("tenant_id", "workspace_id", "item_type", "item_id", "job_type", "invoke_type"):
        assert getattr(new.job, field) == getattr(before.job, field)
    assert new.job.tenant_id == TENANT
    assert new.job.activity_id == new.job.request_id == ""
    assert accepted.status_code == 202


async def test_retry_of_an_unfinished_job_is_refused(replicas: Replicas) -> None:
    """The job would run twice at once. After its cancel it can be retried."""
    async with Fabric(replicas[0], "nobody-runs") as fabric, status_api(replicas[1]) as stub:
        job_id, new_job_id = new_id(), new_id()
        await fabric.create(job_id)
        retry = pb.RetryJobRequest(job_id=job_id, new_job_id=new_job_id)
        assert await raised(stub.RetryJob(retry)) == ("FAILED_PRECONDITION", "JOB_NOT_FINAL")
        assert (await fabric.state(new_job_id)).status_code == 404
        await fabric.cancel(job_id)
        # The retry goes to a replica that may not have read the cancel yet.
        assert (await stub.RetryJob(retry)).job.phase == pb.JOB_PHASE_QUEUED


async def test_retry_under_the_id_of_another_job_is_a_conflict(replicas: Replicas) -> None:
    """No job is started, and the other job stays as it was."""
    async with Fabric(replicas[0], "nobody-runs") as fabric, status_api(replicas[1]) as stub:
        job_id, other = new_id(), new_id()
        for one, payload in ((job_id, {"a": 1}), (other, {"a": 2})):
            await fabric.create(one, payload)
            await fabric.cancel(one)
        retry = pb.RetryJobRequest(job_id=job_id, new_job_id=other)
        assert await raised(stub.RetryJob(retry)) == ("ALREADY_EXISTS", "JOB_CONFLICT")
        assert (await fabric.state(other)).json()["status"] == "Cancelled"


async def test_cancel_and_retry_log_their_caller(
    embedded: Cluster, topic: str, tmp_path: Path
) -> None:
    """Without mutual TLS, the caller is known by its address."""
    log_file, job_id, new_job_id = tmp_path / "facade.log", new_id(), new_id()
    environment = embedded.environment(topic) | {"FABRIC_JOBS_LOG_FORMAT": "json"}
    async with (
        facade(log_file=str(log_file), **environment) as replica,
        Fabric(replica, "cancelled") as fabric,
        status_api(replica) as stub,
    ):
        await fabric.create(job_id)
        await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))
        await stub.RetryJob(pb.RetryJobRequest(job_id=job_id, new_job_id=new_job_id))
    lines = map(json.loads, log_file.read_text().splitlines())
    cancel, retry = (line for line in lines if line["logger"] == "fabric_jobs.rpc")

    assert cancel["job"] == retry["job"] == job_id
    assert re.fullmatch(r"cancel by ipv4:127\.0\.0\.1:\d+: the job is Ended", cancel["message"])
    assert re.fullmatch(rf"retry by ipv4:.*: the new job is {new_job_id}", retry["message"])


async def test_watch_of_one_job_has_only_its_events(replicas: Replicas) -> None:
    """The watch may begin before the job exists."""
    async with Fabric(replicas[0], "nobody-runs") as fabric, status_api(replicas[1]) as stub:
        job_id = new_id()
        watch = stub.WatchJobs(pb.WatchJobsRequest(job_id=job_id.upper()))
        await watch.read()
        for one in (new_id(), job_id, new_id()):
            await fabric.create(one)
        await fabric.cancel(job_id)
        async with asyncio.timeout(30):
            seen = [await watch.read() for _ in range(2)]
        watch.cancel()

    assert [applied.job.job_id for applied in seen] == [job_id] * 2
    assert [applied.event_type for applied in seen] == [
        "fabric.jobs.requested",
        "fabric.jobs.cancelled",
    ]


async def test_ready_replica_lists_jobs_by_index(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """Without the index, a list would read each of a million jobs."""
    environment = apache.environment(topic) | {"FABRIC_JOBS_STATE_DIR": str(tmp_path)}
    async with facade(**environment):
        with closing(sqlite3.connect(tmp_path / "replica.sqlite")) as db:
            (plan,) = db.execute("EXPLAIN QUERY PLAN SELECT * FROM jobs ORDER BY created_us DESC")

    assert plan[-1] == "SCAN jobs USING INDEX jobs_by_age"
