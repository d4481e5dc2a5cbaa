"""`fabric-jobs jobs list`, against a stub of the facade."""

import json

import pytest
from click.testing import CliRunner

from fabric_jobs.cli.main import main
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import (
    CREATED,
    FAILED,
    HOSTILE_ERROR,
    JOB,
    OTHER_JOB,
    RUNNING,
    StubFacade,
    job,
)


def page(*jobs: pb.Job, token: str = "") -> pb.ListJobsResponse:
    """A page of the list."""
    return pb.ListJobsResponse(jobs=jobs, next_page_token=token)


def test_list_sends_every_filter_and_repeats_them_if_no_job_matches(stub: StubFacade) -> None:
    """A status may have any letter case, and a time any zone."""
    stub.answer = lambda _: page()
    result = stub.run(
        *("jobs", "list", "--status", "failed", "--status", "NotStarted", "--job-type", "run"),
        *("--item-type", "Item", "--workspace", JOB.upper(), "--item", OTHER_JOB, "--exhausted"),
        *("--since", "2026-11-23T21:14:01+01:00", "--until", "2026-11-24", "--limit", "7"),
    )

    assert result.exit_code == 0
    assert stub.requests == [
        pb.ListJobsRequest(
            statuses=[pb.JOB_INSTANCE_STATUS_FAILED, pb.JOB_INSTANCE_STATUS_NOT_STARTED],
            job_type="run",
            item_type="Item",
            workspace_id=JOB,
            item_id=OTHER_JOB,
            exhausted=True,
            start_create_time=CREATED,
            end_create_time={"seconds": 1_795_478_400},
            page_size=7,
        )
    ]
    assert result.stdout == ""
    assert result.stderr == (
        "No job matches --status Failed --status NotStarted --job-type run --item-type Item "
        f"--workspace {JOB} --item {OTHER_JOB} --since 2026-11-23T20:14:01Z "
        "--until 2026-11-24T00:00:00Z --exhausted. Try fewer filters.\n"
    )


def test_list_without_filters_and_jobs_says_how_to_start_a_job(stub: StubFacade) -> None:
    """The hint names the command `submit`."""
    stub.answer = lambda _: page()
    result = stub.run("jobs", "list")

    assert result.stderr == "There are no jobs yet. Start one with `fabric-jobs submit`.\n"


def test_list_without_a_terminal_prints_whole_rows_of_plain_text(stub: StubFacade) -> None:
    """The columns are aligned, and markup and control characters of an error have no effect."""
    stub.answer = lambda _: page(
        job(**RUNNING, progress=pb.Progress(fraction=0.5, message="half way")),
        job(**FAILED, job_type="j" * 96, error=HOSTILE_ERROR, attempt=2, exhausted=True),
        job(error=HOSTILE_ERROR, attempt=2),
    )
    result = stub.run("jobs", "list")

    assert result.stdout.splitlines() == [
        f"{'JOB':36}  STATUS      {'JOB TYPE':96}  {'CREATED':20}  DETAIL",
        f"{JOB}  InProgress  {'run':96}  2026-11-23T20:14:01Z  50% half way",
        f"{JOB}  Failed      {'j' * 96}  2026-11-23T20:14:01Z  "
        "attempt 2, exhausted, Odd: [red]one[/] [31mtwo",
        f"{JOB}  Completed   {'run':96}  2026-11-23T20:14:01Z  attempt 2",
    ]


def test_list_on_a_narrow_terminal_folds_only_the_last_column(stub: StubFacade) -> None:
    """An id stays on one line, so that it can be copied."""
    stub.answer = lambda _: page(job(**FAILED, error=HOSTILE_ERROR))
    narrow = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "20"}
    lines = CliRunner().invoke(main, ("jobs", "list", "--grpc", stub.address), env=narrow).stdout

    _, first, *rest = lines.splitlines()
    assert first.startswith(f"{JOB}  Failed  run       2026-11-23T20:14:01Z  Odd: [red]one[/]")
    assert [line.strip() for line in rest] == ["[31mtwo"]


def test_list_with_ids_or_json_prints_one_line_for_each_job(stub: StubFacade) -> None:
    """stdout has nothing else."""
    stub.answer = lambda _: page(job(), job(job_id=OTHER_JOB, **FAILED, exhausted=True))

    assert stub.run("jobs", "list", "--ids").stdout.split() == [JOB, OTHER_JOB]
    one, two = map(json.loads, stub.run("jobs", "list", "--json").stdout.splitlines())
    assert (one["jobId"], one["exhausted"], one["failures"]) == (JOB, False, 0)
    assert (two["status"], two["exhausted"]) == ("Failed", True)
    assert two["createTime"] == "2026-11-23T20:14:01Z"
    assert "endTime" not in one


def test_list_reads_pages_up_to_its_limit_and_says_that_there_are_more(stub: StubFacade) -> None:
    """The request for each page has the same filters."""
    stub.answer = lambda request: page(*[job()] * min(request.page_size, 2), token="more")
    result = stub.run("jobs", "list", "--ids", "--limit", "5", "--exhausted")

    assert len(result.stdout.split()) == 5
    assert result.stderr == (
        "More jobs match than --limit 5 shows. Narrow the filters, or raise the limit.\n"
    )
    assert [(sent.page_size, sent.page_token, sent.exhausted) for sent in stub.requests] == [
        (5, "", True),
        (3, "more", True),
        (1, "more", True),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--status", "Done"),
        ("--since", "yesterday"),
        ("--workspace", "mine"),
        ("--since", "1h", "--until", "2h"),
        ("--limit", "0"),
    ],
)
def test_list_with_a_bad_option_is_exit_code_2_and_sends_nothing(
    stub: StubFacade, arguments: tuple[str, ...]
) -> None:
    """The error says what is wrong."""
    result = stub.run("jobs", "list", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert stub.requests == []


def test_list_says_why_no_executor_can_start_a_job(stub: StubFacade) -> None:
    """In the last column; `get` says it in a row of its own."""
    waiting = job(
        status=pb.JOB_INSTANCE_STATUS_NOT_STARTED,
        phase=pb.JOB_PHASE_QUEUED,
        hint="No executor has a handler for Item rum; there are Item run.",
    )
    stub.answer = lambda request: pb.ListJobsResponse(jobs=[waiting])
    listed = stub.run("jobs", "list")
    stub.answer = lambda request: pb.GetJobResponse(job=waiting, payload=b"null")
    shown = stub.run("jobs", "get", JOB)

    assert listed.stdout.splitlines()[1].endswith(waiting.hint)
    assert f"waits      {waiting.hint}" in shown.stdout.splitlines()


def test_completion_of_a_status_offers_the_names_of_fabric() -> None:
    """The letter case of what was typed does not matter."""
    words = {"COMP_WORDS": "fabric-jobs jobs list --status n", "COMP_CWORD": "4"}
    environ = words | {"_FABRIC_JOBS_COMPLETE": "bash_complete"}
    result = CliRunner().invoke(main, [], prog_name="fabric-jobs", env=environ)

    assert result.stdout == "plain,NotStarted\n"
