"""The three operations on a job instance, over jobs of one replica."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from fabric_jobs.facade.http.errors import Code, HttpError
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.jobs.instance import Instance
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.replica import StoredJob
from tests.support.lifecycle import JOB, WAYS, drive
from tests.support.sealing import NO_SEALING

RUNNING = StoredJob(drive(WAYS["running"]), partition=0, offset=0, first_ms=0)


@pytest.fixture
def jobs() -> Any:
    """Jobs with one running job, which the replica knows."""
    jobs = Mock(Jobs, secrets=NO_SEALING)
    jobs.find = AsyncMock(return_value=RUNNING)
    jobs.read = AsyncMock(return_value=RUNNING)
    jobs.execute = AsyncMock(return_value=RUNNING)
    return jobs


@pytest.fixture
def operations(jobs: Any) -> Operations:
    """The operations over these jobs; a cancel needs no admission control."""
    return Operations(jobs, Mock())


async def test_cancel_of_a_known_job_does_not_read_to_the_logs_end(
    operations: Operations, jobs: Any
) -> None:
    """A look at the log's end takes as long as the cancel, which needs only the job's identity."""
    assert await operations.cancel(Instance.of(RUNNING.job)) == RUNNING.job
    jobs.execute.assert_awaited_once_with(RequestCancel(job_id=JOB))
    jobs.read.assert_not_awaited()


async def test_cancel_under_another_identity_is_not_found_and_executes_nothing(
    operations: Operations, jobs: Any
) -> None:
    """Another tenant must not learn of the job, and must not cancel it."""
    other = Instance.of(RUNNING.job)._replace(tenant_id="another")
    with pytest.raises(HttpError) as raised:
        await operations.cancel(other)
    assert raised.value.code is Code.JOB_NOT_FOUND
    jobs.execute.assert_not_awaited()
