"""`fabric-jobs jobs retry`, against a stub of the facade."""

import re

import grpc

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import JOB, OTHER_JOB, Failure, StubFacade, job

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_retry_prints_the_id_of_the_new_job(stub: StubFacade) -> None:
    """The id is new for each call, or the one that --new-id gives."""
    stub.answer = lambda request: pb.RetryJobResponse(job=job(job_id=request.new_job_id))
    new = [stub.run("jobs", "retry", JOB).stdout.strip() for _ in range(2)]
    chosen = stub.run("jobs", "retry", JOB, "--new-id", OTHER_JOB).stdout

    assert all(GUID.fullmatch(each) for each in new)
    assert len({JOB, *new}) == 3
    assert chosen == f"{OTHER_JOB}\n"
    assert stub.requests[-1] == pb.RetryJobRequest(job_id=JOB, new_job_id=OTHER_JOB)


def test_retry_with_an_unknown_outcome_names_the_id_for_the_next_try(stub: StubFacade) -> None:
    """A second try with the same id starts no second job."""

    def fail(_: object) -> None:
        raise Failure(grpc.StatusCode.UNAVAILABLE, "LOG_UNREACHABLE", "The log is away.")

    stub.answer = fail
    result = stub.run("jobs", "retry", JOB)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The log is away. The new job may still start. ")
    assert result.stderr.endswith(f"add --new-id {stub.requests[-1].new_job_id}.\n")


def test_retry_with_a_new_id_that_is_no_guid_is_exit_code_2(stub: StubFacade) -> None:
    """No request is sent."""
    result = stub.run("jobs", "retry", JOB, "--new-id", "x")

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert stub.requests == []
