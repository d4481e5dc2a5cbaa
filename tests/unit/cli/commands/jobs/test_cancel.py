"""`fabric-jobs jobs cancel`, against a stub of the facade."""

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import JOB, StubFacade, job


@pytest.mark.parametrize(
    ("after", "status", "note"),
    [
        (job(status=pb.JOB_INSTANCE_STATUS_CANCELLED), "Cancelled", ""),
        (
            job(status=pb.JOB_INSTANCE_STATUS_IN_PROGRESS, phase=pb.JOB_PHASE_STOPPING),
            "InProgress",
            "The executor was asked to stop the job. "
            f"Follow the job with `fabric-jobs jobs watch {JOB}`.\n",
        ),
        (job(), "Completed", "The job had already ended.\n"),
    ],
    ids=["cancelled", "stopping", "ended before"],
)
def test_cancel_prints_the_status_after_it_and_explains_it_on_stderr(
    stub: StubFacade, after: pb.Job, status: str, note: str
) -> None:
    """The request has the id in lower case."""
    stub.answer = lambda _: pb.CancelJobResponse(job=after)
    result = stub.run("jobs", "cancel", JOB.upper())

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{status}\n", note)
    assert stub.requests == [pb.CancelJobRequest(job_id=JOB)]
