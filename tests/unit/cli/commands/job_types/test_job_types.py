"""`fabric-jobs job-types`, against a stub of the facade."""

import getpass
import json
import socket

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import CREATED, Failure, StubFacade

DEADLINE = Timestamp(seconds=CREATED.seconds + 110 * 60)
ME = f"{getpass.getuser()}@{socket.gethostname()}"
RUNNING = pb.JobTypeState(item_type="Item", job_type="run", executors=2, in_progress=3)
PAUSED = pb.JobTypeState(
    item_type="Item",
    job_type="stop",
    not_started=4,
    in_progress=1,
    start_deadline=DEADLINE,
    pause=pb.Pause(reason="a [red] reason", by="ada", time=CREATED),
)


def test_list_prints_a_row_or_a_line_of_json_for_each_job_type(stub: StubFacade) -> None:
    """A paused type says since when, by whom and why, and when its oldest job fails."""
    stub.answer = lambda request: pb.ListJobTypesResponse(job_types=[RUNNING, PAUSED])
    table, scripted = stub.run("job-types", "list"), stub.run("job-types", "list", "--json")

    assert table.stdout.splitlines()[1].split() == ["Item", "run", "2", "0", "3"]
    assert table.stdout.splitlines()[2].split(maxsplit=5) == [
        *("Item", "stop", "0", "4", "1"),
        "since 2026-11-23T20:14:01Z by ada: a [red] reason (the oldest job that waits fails at "
        "2026-11-23T22:04:01Z)",
    ]
    assert [json.loads(line)["jobType"] for line in scripted.stdout.splitlines()] == ["run", "stop"]


def test_pause_says_beforehand_when_the_oldest_job_fails(stub: StubFacade) -> None:
    """The request carries the reason and the person; stdout is for scripts."""
    stub.answer = lambda request: pb.PauseJobTypeResponse(job_type=PAUSED)
    result = stub.run("job-types", "pause", "Item", "stop", "--reason", "why")

    assert stub.requests == [
        pb.PauseJobTypeRequest(item_type="Item", job_type="stop", reason="why", requested_by=ME)
    ]
    assert (result.exit_code, result.stdout) == (0, "paused Item stop\n")
    assert result.stderr.splitlines() == [
        "Jobs in progress, which go on: 1.",
        "Jobs that wait: 4. The oldest fails as JobTypePaused at 2026-11-23T22:04:01Z unless it "
        "starts before.",
        "Resume with `fabric-jobs job-types resume Item stop`.",
    ]


def test_pause_without_a_reason_is_refused(stub: StubFacade) -> None:
    """The next operator needs it."""
    result = stub.run("job-types", "pause", "Item", "stop")

    assert (result.exit_code, stub.requests) == (2, [])
    assert "--reason" in result.stderr


@pytest.mark.parametrize("executors", [0, 1])
def test_resume_says_if_nobody_can_start_what_waits(stub: StubFacade, executors: int) -> None:
    """Otherwise it says only what it did."""
    state = pb.JobTypeState(item_type="Item", job_type="stop", not_started=4, executors=executors)
    stub.answer = lambda request: pb.ResumeJobTypeResponse(job_type=state)
    result = stub.run("job-types", "resume", "Item", "stop")

    assert (result.exit_code, result.stdout) == (0, "resumed Item stop\n")
    assert ("No executor has a handler" in result.stderr) is (executors == 0)


def test_unknown_job_type_is_one_line_with_the_known_ones(stub: StubFacade) -> None:
    """The facade's message lists them."""

    def refuse(_: object) -> None:
        raise Failure(grpc.StatusCode.NOT_FOUND, "JOB_TYPE_NOT_FOUND", "There are Item run.")

    stub.answer = refuse
    result = stub.run("job-types", "pause", "Item", "ru", "--reason", "why")

    assert (result.exit_code, result.stderr) == (2, "Error: There are Item run.\n")
