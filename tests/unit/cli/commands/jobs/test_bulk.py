"""`fabric-jobs jobs cancel` and `retry` by filters, against a stub of the facade."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import grpc
import pytest
from click.testing import CliRunner

from fabric_jobs.cli.commands.jobs import bulk
from fabric_jobs.cli.main import main
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import FAILED, JOB, OTHER_JOB, RUNNING, Failure, StubFacade, job

CANCELLED = {"status": pb.JOB_INSTANCE_STATUS_CANCELLED}
STOPPING = {"status": pb.JOB_INSTANCE_STATUS_IN_PROGRESS, "phase": pb.JOB_PHASE_STOPPING}
FAST = ("--rate", "1000")


def answers(listed: list[pb.Job], change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Answers a list with these jobs, and every other call by `change`."""

    def answer(request: Any) -> Any:
        if isinstance(request, pb.ListJobsRequest):
            return pb.ListJobsResponse(jobs=listed)
        return change(request)

    return answer


def test_cancel_by_filters_counts_the_jobs_and_says_what_became_of_each(stub: StubFacade) -> None:
    """Only unfinished jobs are listed, and the oldest is cancelled first."""
    after = {JOB: job(job_id=JOB, **CANCELLED), OTHER_JOB: job(job_id=OTHER_JOB, **STOPPING)}
    stub.answer = answers(
        [job(job_id=OTHER_JOB, **RUNNING), job(job_id=JOB, **RUNNING)],
        lambda request: pb.CancelJobResponse(job=after[request.job_id]),
    )
    result = stub.run("jobs", "cancel", "--job-type", "run", "--yes", *FAST)

    assert stub.requests[0].statuses == [
        pb.JOB_INSTANCE_STATUS_NOT_STARTED,
        pb.JOB_INSTANCE_STATUS_IN_PROGRESS,
    ]
    assert [one.job_id for one in stub.requests[1:]] == [JOB, OTHER_JOB]
    assert (result.exit_code, result.stdout) == (0, "1 asked to stop\n1 cancelled\n")
    assert result.stderr == "2 jobs match --job-type run.\n"


def test_retry_by_filters_gives_each_job_the_same_new_id_every_time(stub: StubFacade) -> None:
    """So a second call after Ctrl-C starts nothing twice. The list has no replaced jobs."""
    stub.answer = answers([job(**FAILED)], lambda request: pb.RetryJobResponse(job=job()))
    results = [stub.run("jobs", "retry", "--since", "2h", "--yes", *FAST) for _ in range(2)]
    retries = [one for one in stub.requests if isinstance(one, pb.RetryJobRequest)]

    new_id = str(uuid5(UUID(JOB), "retry"))
    assert retries == [pb.RetryJobRequest(job_id=JOB, new_job_id=new_id)] * 2
    assert stub.requests[0].statuses == [pb.JOB_INSTANCE_STATUS_FAILED]
    assert stub.requests[0].unreplaced
    for result in results:
        assert (result.exit_code, result.stdout) == (0, "1 retried\n")


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_repeated_bulk_command_changes_the_jobs_beyond_its_bound(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The question counts only jobs that the command can change."""
    monkeypatch.setattr(bulk, "MAX_JOBS", 2)
    jobs = {str(UUID(int=number)): job(job_id=str(UUID(int=number))) for number in range(5)}
    changed = list[str]()

    def answer(request: Any) -> Any:
        if isinstance(request, pb.ListJobsRequest):
            left = [
                one
                for job_id, one in jobs.items()
                if job_id not in changed or (command == "retry" and not request.unreplaced)
            ]
            size = request.page_size
            token = "more" if len(left) > size else ""
            return pb.ListJobsResponse(jobs=left[:size], next_page_token=token)
        changed.append(request.job_id)
        if isinstance(request, pb.RetryJobRequest):
            return pb.RetryJobResponse(job=job())
        return pb.CancelJobResponse(job=job(**CANCELLED))

    stub.answer = answer
    results = [stub.run("jobs", command, "--job-type", "a", "--yes", *FAST) for _ in range(3)]

    assert [result.stderr for result in results] == [
        "2 jobs match --job-type a. More jobs match: repeat the command for them.\n",
        "2 jobs match --job-type a. More jobs match: repeat the command for them.\n",
        "1 jobs match --job-type a.\n",
    ]
    assert sorted(changed) == sorted(jobs)


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "x"])
def test_rate_that_is_no_finite_number_of_at_least_a_tenth_is_refused(
    stub: StubFacade, rate: str
) -> None:
    """No request is sent."""
    result = stub.run("jobs", "cancel", "--job-type", "a", "--yes", "--rate", rate)

    assert (result.exit_code, stub.requests) == (2, [])
    assert "--rate" in result.stderr


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_dry_run_shows_the_jobs_and_changes_none(stub: StubFacade, command: str) -> None:
    """The table has twenty rows at most."""
    stub.answer = answers([job(**FAILED)] * 23, lambda request: None)
    result = stub.run("jobs", command, "--status", "Failed", "--dry-run")

    assert len(stub.requests) == 1
    assert len(result.stdout.splitlines()) == 21
    assert result.stderr == "23 jobs match --status Failed.\n… and 3 more.\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name a job's id, or at least one filter"),
        (("--yes",), "Name a job's id, or at least one filter"),
        ((JOB, "--status", "Failed"), "Name either a job's id or filters, not both."),
        ((JOB, "--dry-run"), "Name either a job's id or filters, not both."),
        (("--since", "1h", "--until", "2h"), "--since must be a time before --until."),
    ],
    ids=["nothing", "no filter", "both", "dry run of one", "times"],
)
@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_bulk_command_without_a_clear_target_is_refused(
    stub: StubFacade, command: str, arguments: tuple[str, ...], message: str
) -> None:
    """No request is sent."""
    result = stub.run("jobs", command, *arguments)

    assert (result.exit_code, result.stdout, stub.requests) == (2, "", [])
    assert result.stderr.startswith(f"Error: {message}")


def test_bulk_command_without_a_terminal_needs_yes(stub: StubFacade) -> None:
    """A script can't answer the question."""
    stub.answer = answers([job(**RUNNING)], lambda request: None)
    result = stub.run("jobs", "cancel", "--job-type", "run")

    assert (result.exit_code, len(stub.requests)) == (2, 1)
    assert "Add --yes" in result.stderr


@pytest.mark.parametrize(("typed", "changed"), [("y\n", 1), ("n\n", 0)])
def test_bulk_command_on_a_terminal_asks_first(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch, typed: str, changed: int
) -> None:
    """The question has the number of jobs."""

    class Terminal:
        isatty = staticmethod(lambda: True)

    stub.answer = answers(
        [job(**RUNNING)], lambda request: pb.CancelJobResponse(job=job(**CANCELLED))
    )
    monkeypatch.setattr(bulk, "sys", type("Sys", (), {"stdin": Terminal, "exit": sys.exit}))
    command = ("jobs", "cancel", "--job-type", "run", "--grpc", stub.address)
    result = CliRunner().invoke(main, command, input=typed)

    assert len(stub.requests) == 1 + changed
    assert "Cancel 1 jobs? [y/N]" in result.stderr
    assert ("Nothing was changed." in result.stderr) is (not changed)


def test_job_that_can_t_be_changed_is_counted_and_the_others_go_on(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1. A facade that is away for a moment is asked again."""
    monkeypatch.setattr(bulk, "RETRY_S", 0.0)
    tries = {JOB: 0, OTHER_JOB: 0}

    def change(request: Any) -> Any:
        tries[request.job_id] += 1
        if request.job_id == JOB:
            raise Failure(grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_FINAL", "Not final.")
        if tries[OTHER_JOB] < bulk.TRIES:
            raise Failure(grpc.StatusCode.UNAVAILABLE, "LOG_UNREACHABLE", "Away.")
        return pb.RetryJobResponse(job=job())

    stub.answer = answers([job(job_id=OTHER_JOB, **FAILED), job(**FAILED)], change)
    result = stub.run("jobs", "retry", "--exhausted", "--yes", *FAST)

    assert tries == {JOB: 1, OTHER_JOB: bulk.TRIES}
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first.startswith("1 failed: Not final.")
    assert second == "1 retried"


def test_no_matching_job_changes_nothing(stub: StubFacade) -> None:
    """There is nothing to confirm."""
    stub.answer = answers([], lambda request: None)
    result = stub.run("jobs", "cancel", "--job-type", "run")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "0 jobs match --job-type run.\n"
