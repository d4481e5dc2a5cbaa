"""The client of the gRPC status API: how its errors end a command."""

from collections.abc import Iterator

import grpc
import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import JOB, Failure, StubFacade, job, watch_event


@pytest.mark.parametrize(
    ("arguments", "failure", "expected"),
    [
        (
            ("get", JOB),
            Failure(grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "No such job is known."),
            "Error: No such job is known. `fabric-jobs jobs list` shows the jobs that are known.\n",
        ),
        (
            ("retry", JOB),
            Failure(grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_FINAL", "Wait.\nThen retry."),
            "Error: Wait. Then retry. Use `fabric-jobs jobs cancel` or `fabric-jobs jobs watch`.\n",
        ),
        (
            ("list",),
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER", "It can't be."),
            "Error: It can't be.\n",
        ),
    ],
    ids=["not found", "not final", "filter"],
)
def test_refused_call_is_one_line_with_a_remedy_and_exit_code_2(
    stub: StubFacade, arguments: tuple[str, ...], failure: Failure, expected: str
) -> None:
    """The line begins with the facade's message."""

    def refuse(_: object) -> None:
        raise failure

    stub.answer = refuse
    result = stub.run("jobs", *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", expected)


def test_error_without_a_reason_of_the_facade_is_one_line(stub: StubFacade) -> None:
    """A bug in the facade is such an error. The line has its gRPC code and details."""

    def fail(_: object) -> None:
        raise ValueError("oops")

    stub.answer = fail
    result = stub.run("jobs", "list")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {stub.address} answered UNKNOWN: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("list",), ("watch",), ("watch", JOB), ("events", JOB)])
def test_absent_facade_is_one_line_with_a_remedy(
    stub: StubFacade, command: tuple[str, ...]
) -> None:
    """No command waits for the facade to appear."""
    stub.address = "127.0.0.1:1"  # a port that no program may use
    result = stub.run("jobs", *command)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Error: No facade answers at 127.0.0.1:1. Start one with `fabric-jobs dev`, or name "
        "another gRPC address with --grpc.\n"
    )


def test_watch_whose_connection_breaks_says_so(stub: StubFacade) -> None:
    """A facade did answer, so the message does not say that none is there."""

    def break_off() -> Iterator[pb.WatchJobsResponse]:
        yield watch_event(job())
        raise Failure(grpc.StatusCode.UNAVAILABLE, "", "Socket closed")

    stub.watches = [break_off()]
    result = stub.run("jobs", "watch")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"Error: The connection to the facade at {stub.address} broke: Socket closed. Watch again."
    )


def test_answer_of_more_than_4_mib_is_taken(stub: StubFacade) -> None:
    """gRPC's own bound would refuse a payload that the facade's settings allow."""
    stub.answer = lambda _: pb.GetJobResponse(job=job(), payload=b'"%s"' % (b"x" * 5_000_000))
    result = stub.run("jobs", "get", JOB, "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout) > 5_000_000
