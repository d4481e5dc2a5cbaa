"""Pages of `ListJobs` that are bounded in bytes."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from msgspec.structs import replace

from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.replica.paging import Cursor, cursor_of
from fabric_jobs.facade.rpc.page_size import MAX_PAGE_BYTES, count_fitting
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.lifecycle import EPOCH, WAYS, drive
from tests.support.rpc_kit import EmptyFacade, serve

FAILED = drive(WAYS["failed"])


def job_of(size: int) -> pb.Job:
    """A job with a text of this many bytes."""
    return pb.Job(job_type="x" * size)


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        ([], 0),
        ([10, 10], 2),
        ([MAX_PAGE_BYTES // 2] * 3, 1),
        ([MAX_PAGE_BYTES // 2 - 20] * 3, 2),
        ([MAX_PAGE_BYTES * 2], 1),
        ([MAX_PAGE_BYTES * 2, 1], 1),
        ([1, MAX_PAGE_BYTES * 2], 1),
    ],
)
def test_count_fitting_ends_before_the_bound_and_after_one_job(
    sizes: list[int], count: int
) -> None:
    """A page always has a job, so that a client that follows the tokens reaches the end."""
    assert count_fitting([job_of(size) for size in sizes]) == count


def failed_job(number: int) -> StoredJob:
    """A failed job whose error's message has 2,048 characters of three bytes each."""
    assert FAILED.state.error
    error = replace(FAILED.state.error, message="失" * 2048)
    state = replace(FAILED.state, create_time=EPOCH + timedelta(seconds=number), error=error)
    return StoredJob(replace(FAILED, job_id=str(uuid.UUID(int=number)), state=state), 0, number, 0)


async def test_list_jobs_of_more_bytes_than_a_client_takes_comes_in_several_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client has the usual limit of 4 MiB for a message. It gets each job once."""
    stored = [failed_job(number) for number in reversed(range(1000))]

    async def list_jobs(
        self: object, job_filter: object, limit: int, before: Cursor | None
    ) -> tuple[Sequence[Any], dict[int, int]]:
        return [one for one in stored if not before or cursor_of(one.job) < before][:limit], {}

    monkeypatch.setattr(EmptyFacade, "list", list_jobs)
    jobs = list[pb.Job]()
    request = pb.ListJobsRequest(page_size=1000)
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as channel:
        stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
        while not jobs or request.page_token:
            page = await stub.ListJobs(request)
            jobs += page.jobs
            request.page_token = page.next_page_token

    assert [job.job_id for job in jobs] == [one.job.job_id for one in stored]
    assert sum(job.ByteSize() for job in jobs) > 4 * 1024 * 1024
