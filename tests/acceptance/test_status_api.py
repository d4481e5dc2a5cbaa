"""The gRPC API, called by a client that is generated from the .proto."""

import asyncio

import grpc
import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.grpc_errors import raised
from tests.support.programs import TENANT, Fabric, Program, new_id, status_api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_get_job_returns_the_job_and_its_position(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """The other replica finds the job, in any letter case of its id."""
    async with Fabric(replicas[0], "journaled") as fabric, status_api(replicas[1]) as stub:
        job_id = new_id()
        await fabric.create(job_id, {"journal": "/dev/null"})
        await fabric.until(job_id, "Completed")
        answer = await stub.GetJob(pb.GetJobRequest(job_id=job_id.upper()))

    assert answer.job.job_id == job_id
    assert answer.job.tenant_id == TENANT
    assert answer.job.status == pb.JOB_INSTANCE_STATUS_COMPLETED
    assert answer.job.phase == pb.JOB_PHASE_ENDED
    assert answer.job.progress.fraction == 0.5
    assert answer.job.progress.message == "half way"
    assert answer.job.start_time.ToDatetime() <= answer.job.end_time.ToDatetime()
    # The position is after these four events: requested, started, progressed, completed.
    assert answer.job.sequence == 4
    assert answer.position.offset >= 4


async def test_list_jobs_pages_and_filters(replicas: tuple[Program, Program]) -> None:
    """Each job of the filter is on one page, the newest first."""
    job_type = f"listed-{new_id()[:8]}"
    async with Fabric(replicas[0], job_type) as fabric, status_api(replicas[1]) as stub:
        made = [new_id() for _ in range(7)]
        for job_id in made:
            await fabric.create(job_id)
        for job_id in made[:2]:
            await fabric.cancel(job_id)
        pages: list[list[str]] = []
        token = ""
        while token or not pages:
            page = await stub.ListJobs(
                pb.ListJobsRequest(job_type=job_type, page_size=3, page_token=token)
            )
            pages.append([job.job_id for job in page.jobs])
            token = page.next_page_token
        waiting = await stub.ListJobs(
            pb.ListJobsRequest(job_type=job_type, statuses=[pb.JOB_INSTANCE_STATUS_NOT_STARTED])
        )

    assert pages == [made[:3:-1], made[3:0:-1], made[:1]]
    assert [job.job_id for job in waiting.jobs] == made[:1:-1]
    assert len(waiting.positions) == 4


async def test_watch_jobs_sends_each_applied_event_once(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """On any replica, the events come in the order of the job, after the watch has begun."""
    async with Fabric(replicas[0]) as fabric, status_api(replicas[1]) as stub:
        job_id = new_id()
        seen: list[pb.WatchJobsResponse] = []
        watch = stub.WatchJobs(pb.WatchJobsRequest())
        begun = await watch.read()
        assert not begun.event_id
        await asyncio.gather(*(fabric.create(job_id) for _ in range(10)))
        async with asyncio.timeout(30):
            while not seen or seen[-1].job.phase != pb.JOB_PHASE_ENDED:
                applied = await watch.read()
                if applied.job.job_id == job_id:
                    seen.append(applied)
        watch.cancel()

    assert [applied.event_type.rpartition(".")[2] for applied in seen] == [
        "requested",
        "started",
        "completed",
    ]
    assert [applied.job.sequence for applied in seen] == [1, 2, 3]
    assert [applied.position.offset for applied in seen] == sorted(
        {applied.position.offset for applied in seen}
    )


async def test_cancel_job_returns_the_cancelled_job(replicas: tuple[Program, Program]) -> None:
    """A second cancel returns the same, and Fabric sees the same state."""
    async with Fabric(replicas[0], "nobody-runs") as fabric, status_api(replicas[1]) as stub:
        job_id = new_id()
        await fabric.create(job_id)
        first = await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))
        again = await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))

        assert first.job == again.job
        assert first.job.status == pb.JOB_INSTANCE_STATUS_CANCELLED
        assert (await fabric.state(job_id)).json()["status"] == "Cancelled"


_BAD = {
    "unknown job": ("GetJob", pb.GetJobRequest(job_id=new_id()), "NOT_FOUND", "JOB_NOT_FOUND"),
    "no GUID": ("GetJob", pb.GetJobRequest(job_id="x"), "INVALID_ARGUMENT", "INVALID_JOB_ID"),
    "cancel of an unknown job": (
        "CancelJob",
        pb.CancelJobRequest(job_id=new_id()),
        "NOT_FOUND",
        "JOB_NOT_FOUND",
    ),
    "retry of an unknown job": (
        "RetryJob",
        pb.RetryJobRequest(job_id=new_id(), new_job_id=new_id()),
        "NOT_FOUND",
        "JOB_NOT_FOUND",
    ),
    "retry under no GUID": (
        "RetryJob",
        pb.RetryJobRequest(job_id=new_id()),
        "INVALID_ARGUMENT",
        "INVALID_JOB_ID",
    ),
    "retry under its own id": (
        "RetryJob",
        pb.RetryJobRequest(job_id=(own := new_id()), new_job_id=own.upper()),
        "INVALID_ARGUMENT",
        "INVALID_JOB_ID",
    ),
    "forged token": (
        "ListJobs",
        pb.ListJobsRequest(page_token="Zm9yZ2Vk"),
        "INVALID_ARGUMENT",
        "INVALID_PAGE_TOKEN",
    ),
    "broken token": (
        "ListJobs",
        pb.ListJobsRequest(page_token="é"),
        "INVALID_ARGUMENT",
        "INVALID_PAGE_TOKEN",
    ),
    "unknown status": (
        "ListJobs",
        pb.ListJobsRequest(statuses=[99]),  # type: ignore[list-item]
        "INVALID_ARGUMENT",
        "INVALID_FILTER",
    ),
    "workspace that is no GUID": (
        "ListJobs",
        pb.ListJobsRequest(workspace_id="mine"),
        "INVALID_ARGUMENT",
        "INVALID_FILTER",
    ),
    "negative page": (
        "ListJobs",
        pb.ListJobsRequest(page_size=-1),
        "INVALID_ARGUMENT",
        "INVALID_PAGE_SIZE",
    ),
}


@pytest.mark.parametrize(("method", "request_", "code", "reason"), _BAD.values(), ids=_BAD.keys())
async def test_bad_grpc_request_gets_a_code_and_a_reason(
    replicas: tuple[Program, Program], method: str, request_: object, code: str, reason: str
) -> None:
    """The code is canonical, and the reason is a `google.rpc.ErrorInfo`."""
    async with status_api(replicas[0]) as stub:
        assert await raised(getattr(stub, method)(request_)) == (code, reason)


async def test_session_without_hello_is_refused(replicas: tuple[Program, Program]) -> None:
    """The first message must have the executor's hello."""
    async with status_api(replicas[0]) as stub:
        stream = stub.Session()
        await stream.write(pb.SessionRequest(heartbeat=pb.Heartbeat()))
        with pytest.raises(grpc.aio.AioRpcError, match="hello"):
            await stream.read()


async def test_session_refuses_each_bad_entry_by_itself(
    replicas: tuple[Program, Program],
) -> None:
    """Each entry of a message has its own answer, and the stream continues."""
    async with Fabric(replicas[0], "nobody-runs") as fabric, status_api(replicas[0]) as stub:
        job_id = new_id()
        await fabric.create(job_id)
        seen = (await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job
        answers = await _answers(
            stub,
            pb.SessionRequest(
                hello=pb.Hello(executor_id="by-hand"),
                claims=[
                    pb.Claim(entry_id=1, job_id="x", attempt=1),
                    pb.Claim(entry_id=2, job_id=job_id, attempt=1, record=pb.Record(event_id="x")),
                ],
                reports=[
                    pb.Report(entry_id=4, job_id=job_id, attempt=1),
                    pb.Report(entry_id=5, job_id=job_id, attempt=1, completed=pb.Completed()),
                ],
            ),
        )

        assert {number: answer.refused.reason for number, answer in answers.items()} == {
            1: pb.REFUSAL_REASON_INVALID,
            2: pb.REFUSAL_REASON_NOT_DISPATCHED,
            4: pb.REFUSAL_REASON_INVALID,
            5: pb.REFUSAL_REASON_NOT_DISPATCHED,
        }
        assert (await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job == seen


async def _answers(stub: JobStatusServiceStub, request: pb.SessionRequest) -> dict[int, pb.Answer]:
    stream = stub.Session()
    await stream.write(request)
    await stream.done_writing()
    answers: dict[int, pb.Answer] = {}
    async with asyncio.timeout(20):
        async for response in stream:
            answers |= {answer.entry_id: answer for answer in response.answers}
    return answers
