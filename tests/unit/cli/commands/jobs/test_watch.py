"""`fabric-jobs jobs watch`, against a stub of the facade."""

import json
from typing import Any

import grpc
import pytest

from fabric_jobs.cli.commands.jobs import watch
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import (
    FAILED,
    HOSTILE_ERROR,
    JOB,
    RUNNING,
    Failure,
    StubFacade,
    job,
    watch_event,
)


def test_watch_prints_a_line_for_each_event_until_the_facade_stops(stub: StubFacade) -> None:
    """A facade that stops is exit code 2, because its stop says nothing about the jobs."""
    stub.watches = [
        [
            watch_event(job(**RUNNING, attempt=2)),
            watch_event(job(**FAILED, error=HOSTILE_ERROR), "failed"),
        ]
    ]
    result = stub.run("jobs", "watch")

    assert result.stdout.splitlines() == [
        f"2026-11-23T20:14:01Z  {JOB}  started           InProgress   attempt 2",
        f"2026-11-23T20:14:01Z  {JOB}  failed            Failed       Odd: [red]one[/] [31mtwo",
    ]
    assert result.exit_code == 2
    assert result.stderr == (
        "Watching for events. Press Ctrl-C to stop.\n"
        f"Error: The facade at {stub.address} stopped. Watch again.\n"
    )


def test_watch_with_json_prints_a_line_of_json_for_each_event(stub: StubFacade) -> None:
    """The fields are those of the gRPC API."""
    stub.watches = [[watch_event(job())]]
    (line,) = map(json.loads, stub.run("jobs", "watch", "--json").stdout.splitlines())

    assert line["eventType"] == "fabric.jobs.started"
    assert line["job"]["jobId"] == JOB


@pytest.mark.parametrize(
    ("end", "code", "stdout", "stderr"),
    [
        ({}, 0, "Completed\n", ""),
        ({"status": pb.JOB_INSTANCE_STATUS_CANCELLED}, 3, "Cancelled\n", ""),
        ({**FAILED, "error": HOSTILE_ERROR}, 1, "Failed\n", "Odd: [red]one[/] [31mtwo\n"),
        (
            {**FAILED, "error": HOSTILE_ERROR, "exhausted": True},
            1,
            "Failed\n",
            "Odd: [red]one[/] [31mtwo\nAll attempts of the job failed. "
            f"Start it again with `fabric-jobs jobs retry {JOB}`.\n",
        ),
    ],
    ids=["completed", "cancelled", "failed", "exhausted"],
)
def test_watch_of_a_job_ends_with_the_job_and_its_exit_code(
    stub: StubFacade, end: dict[str, Any], code: int, stdout: str, stderr: str
) -> None:
    """A facade that stops in between is watched again."""
    now = job(**RUNNING, sequence=2)
    stub.answer = lambda _: pb.GetJobResponse(job=now)
    stub.watches = [[], [watch_event(job(**end))]]
    result = stub.run("jobs", "watch", JOB)

    assert (result.exit_code, result.stdout, result.stderr) == (code, stdout, stderr)
    watched = [sent for sent in stub.requests if isinstance(sent, pb.WatchJobsRequest)]
    assert watched == [pb.WatchJobsRequest(job_id=JOB)] * 2


def test_watch_of_a_job_without_events_for_long_outlasts_a_restart_of_the_facade(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts the time that the facade is away, not the time without events before."""
    monkeypatch.setattr(watch, "MAX_OUTAGE_S", 0)
    stub.answer = lambda _: pb.GetJobResponse(job=job(**RUNNING, sequence=2))
    stub.watches = [[], [watch_event(job())]]

    assert stub.run("jobs", "watch", JOB).stdout == "Completed\n"


def test_watch_of_a_job_on_a_facade_that_stays_away_is_exit_code_2(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the facade's last one."""
    answers = [pb.GetJobResponse(job=job(**RUNNING, sequence=2))]

    def answer_once(_: object) -> pb.GetJobResponse:
        if not answers:
            raise Failure(grpc.StatusCode.UNAVAILABLE, "LOG_UNREACHABLE", "The log is away.")
        return answers.pop()

    monkeypatch.setattr(watch, "MAX_OUTAGE_S", 0)
    stub.answer = answer_once
    stub.watches = [[], [], []]
    result = stub.run("jobs", "watch", JOB)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: The log is away.\n"


def test_watch_of_a_job_with_json_prints_each_change_once(stub: StubFacade) -> None:
    """A state that the facade repeats is left out, and only the exit code states the outcome."""
    states = [job(**RUNNING, sequence=1), job(**RUNNING, sequence=2), job(**FAILED, sequence=3)]
    stub.answer = lambda _: pb.GetJobResponse(job=states[1])
    stub.watches = [[watch_event(state) for state in states]]
    result = stub.run("jobs", "watch", JOB, "--json")

    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == ["2", "3"]
    assert result.exit_code == 1
    assert result.stderr == ""


def test_watch_of_a_job_that_has_ended_prints_its_status_at_once(stub: StubFacade) -> None:
    """No event is needed."""
    stub.answer = lambda _: pb.GetJobResponse(job=job())
    stub.watches = [[]]

    assert stub.run("jobs", "watch", JOB).stdout == "Completed\n"


def test_watch_of_a_job_that_no_executor_can_start_says_why_once(stub: StubFacade) -> None:
    """On stderr, above the progress bar."""
    waiting = job(
        status=pb.JOB_INSTANCE_STATUS_NOT_STARTED, phase=pb.JOB_PHASE_QUEUED, hint="Nobody [can]."
    )
    stub.answer = lambda request: pb.GetJobResponse(job=waiting)
    stub.watches = [[watch_event(waiting, "requested"), watch_event(job(sequence=4), "completed")]]
    result = stub.run("jobs", "watch", JOB)

    assert (result.exit_code, result.stdout) == (0, "Completed\n")
    assert result.stderr == "Nobody [can].\n"
