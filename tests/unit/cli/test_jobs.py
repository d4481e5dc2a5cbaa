"""`fabric-jobs jobs`: what is asked of the facade, and what people and scripts are shown."""

import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

import fabric_jobs.cli.commands.jobs.watch
from fabric_jobs.cli.main import main
from fabric_jobs.cli.output.jobs import MAX_PAYLOAD
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import CREATED, JOB, Failure, StubFacade, job, stub_facade

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RUNNING = {"status": pb.JOB_INSTANCE_STATUS_IN_PROGRESS, "phase": pb.JOB_PHASE_RUNNING}
FAILED = {"status": pb.JOB_INSTANCE_STATUS_FAILED}
#: What a handler may put into an error: markup, colours, line breaks.
HOSTILE = pb.Error(error_code="Odd", message="[red]one[/]\n\x1b[31mtwo\x07", source="User")


@pytest.fixture
def stub() -> Iterator[StubFacade]:
    """A facade that does what the test says."""
    with stub_facade() as one:
        yield one


def run(stub: StubFacade, *arguments: str) -> Result:
    """The command, in this process, against the stub."""
    return CliRunner().invoke(main, ("jobs", *arguments, "--grpc", stub.address))


def listed(*jobs: pb.Job, token: str = "") -> pb.ListJobsResponse:
    """A page."""
    return pb.ListJobsResponse(jobs=jobs, next_page_token=token)


def test_every_filter_of_the_list_is_asked_for(stub: StubFacade) -> None:
    """In the API's terms; a status in any letter case, a time in UTC."""
    stub.answer = lambda _: listed()
    result = run(
        stub,
        *("list", "--status", "failed", "--status", "NotStarted", "--job-type", "run"),
        *("--item-type", "Item", "--workspace", JOB.upper(), "--item", OTHER, "--exhausted"),
        *("--since", "2026-11-23T21:14:01+01:00", "--until", "2026-11-24", "--limit", "7"),
    )

    assert result.exit_code == 0
    assert stub.requests == [
        pb.ListJobsRequest(
            statuses=[pb.JOB_INSTANCE_STATUS_FAILED, pb.JOB_INSTANCE_STATUS_NOT_STARTED],
            job_type="run",
            item_type="Item",
            workspace_id=JOB,
            item_id=OTHER,
            exhausted=True,
            start_create_time=CREATED,
            end_create_time={"seconds": 1_795_478_400},
            page_size=7,
        )
    ]
    assert result.stdout == ""
    assert result.stderr == (
        "No job fits --status Failed --status NotStarted --job-type run --item-type Item "
        f"--workspace {JOB} --item {OTHER} --since 2026-11-23T20:14:01Z "
        "--until 2026-11-24T00:00:00Z --exhausted: try fewer filters.\n"
    )


def test_a_list_without_filters_that_is_empty_says_what_to_do(stub: StubFacade) -> None:
    """There is nothing to find yet."""
    stub.answer = lambda _: listed()

    assert run(stub, "list").stderr == "There is no job yet: `fabric-jobs submit` asks for one.\n"


def test_a_list_is_a_row_a_job_and_cuts_nothing_where_it_is_no_terminal(stub: StubFacade) -> None:
    """Columns in line, however long; what a handler wrote is neither markup nor obeyed."""
    stub.answer = lambda _: listed(
        job(**RUNNING, progress=pb.Progress(fraction=0.5, message="half way")),
        job(**FAILED, job_type="j" * 96, error=HOSTILE, attempt=2, exhausted=True),
        job(error=HOSTILE, attempt=2),
    )
    result = run(stub, "list")

    assert result.stdout.splitlines() == [
        f"{'JOB':36}  STATUS      {'JOB TYPE':96}  {'CREATED':20}  DETAIL",
        f"{JOB}  InProgress  {'run':96}  2026-11-23T20:14:01Z  50% half way",
        f"{JOB}  Failed      {'j' * 96}  2026-11-23T20:14:01Z  "
        "attempt 2, exhausted, Odd: [red]one[/] [31mtwo",
        f"{JOB}  Completed   {'run':96}  2026-11-23T20:14:01Z  attempt 2",
    ]


def test_a_terminal_folds_the_last_column_alone(stub: StubFacade) -> None:
    """Narrow as it may be: an id stays whole, for the mouse that copies it."""
    stub.answer = lambda _: listed(job(**FAILED, error=HOSTILE))
    narrow = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "20"}
    lines = CliRunner().invoke(main, ("jobs", "list", "--grpc", stub.address), env=narrow).stdout

    _, first, *rest = lines.splitlines()
    assert first.startswith(f"{JOB}  Failed  run       2026-11-23T20:14:01Z  Odd: [red]one[/]")
    assert [line.strip() for line in rest] == ["[31mtwo"]


def test_a_list_for_xargs_is_ids_and_one_for_scripts_is_json(stub: StubFacade) -> None:
    """A line a job, and nothing else on stdout."""
    stub.answer = lambda _: listed(job(), job(job_id=OTHER, **FAILED, exhausted=True))

    assert run(stub, "list", "--ids").stdout.split() == [JOB, OTHER]
    one, two = map(json.loads, run(stub, "list", "--json").stdout.splitlines())
    assert (one["jobId"], one["exhausted"], one["failures"]) == (JOB, False, 0)
    assert (two["status"], two["exhausted"]) == ("JOB_INSTANCE_STATUS_FAILED", True)
    assert two["createTime"] == "2026-11-23T20:14:01Z"
    assert "endTime" not in one


def test_a_list_goes_on_over_pages_up_to_its_limit_and_says_if_there_is_more(
    stub: StubFacade,
) -> None:
    """Each page is asked for with the same filters."""
    stub.answer = lambda request: listed(*[job()] * min(request.page_size, 2), token="more")
    result = run(stub, "list", "--ids", "--limit", "5", "--exhausted")

    assert len(result.stdout.split()) == 5
    assert result.stderr == "More jobs fit than --limit 5: narrow the filters, or raise it.\n"
    assert [(ask.page_size, ask.page_token, ask.exhausted) for ask in stub.requests] == [
        (5, "", True),
        (3, "more", True),
        (1, "more", True),
    ]


def test_a_job_is_shown_with_all_that_is_known_of_it(stub: StubFacade) -> None:
    """What is absent has no line."""
    error = pb.Error(
        error_code="Last",
        message="no",
        source="System",
        details=[pb.ErrorDetail(error_code="First", additional_parameters={"attempt": "1"})],
    )
    got = job(**FAILED, error=error, attempt=2, failures=2, exhausted=True, end_time=CREATED)
    stub.answer = lambda _: pb.GetJobResponse(job=got, payload=b'{"a": 1}')
    lines = dict(
        re.split(r" {2,}", line, maxsplit=1) for line in run(stub, "get", JOB).stdout.splitlines()
    )

    assert lines["job"] == JOB
    assert lines["attempt"] == "2, 2 failed, exhausted"
    assert lines["error"] == "Last: no (System)"
    assert lines["earlier"] == "First: (attempt 1)"
    assert lines["ended"] == "2026-11-23T20:14:01Z"
    assert lines["payload"] == '{"a": 1}'
    assert lines.keys() & {"started", "due", "executor", "progress"} == set()


def test_a_large_payload_is_cut_for_people_only(stub: StubFacade) -> None:
    """For scripts it passes through: neither its numbers nor its end change."""
    payload = b'{"n": 123456789012345678901234567890,\n "text": "%s"}' % (b"x" * MAX_PAYLOAD)
    stub.answer = lambda _: pb.GetJobResponse(job=job(), payload=payload)
    shown, scripted = run(stub, "get", JOB).stdout, run(stub, "get", JOB, "--json").stdout

    assert shown.rstrip().endswith("xxx… `--json` shows all of it.")
    assert scripted.count("\n") == 1
    assert '"n":123456789012345678901234567890,' in scripted
    assert json.loads(scripted)["payload"] == json.loads(payload)


@pytest.mark.parametrize(
    ("after", "status", "note"),
    [
        (job(status=pb.JOB_INSTANCE_STATUS_CANCELLED), "Cancelled", ""),
        (
            job(status=pb.JOB_INSTANCE_STATUS_IN_PROGRESS, phase=pb.JOB_PHASE_STOPPING),
            "InProgress",
            f"Its executor is asked to stop it; `fabric-jobs jobs watch {JOB}` follows it.\n",
        ),
        (job(), "Completed", "It had ended before.\n"),
    ],
    ids=["cancelled", "stopping", "ended before"],
)
def test_a_cancel_tells_the_status_that_follows(
    stub: StubFacade, after: pb.Job, status: str, note: str
) -> None:
    """On stdout; what that means for a person, on stderr."""
    stub.answer = lambda _: pb.CancelJobResponse(job=after)
    result = run(stub, "cancel", JOB.upper())

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{status}\n", note)
    assert stub.requests == [pb.CancelJobRequest(job_id=JOB)]


def test_a_retry_tells_the_new_job_s_id(stub: StubFacade) -> None:
    """A new one each time, or the one that was chosen."""
    stub.answer = lambda request: pb.RetryJobResponse(job=job(job_id=request.new_job_id))
    new = [run(stub, "retry", JOB).stdout.strip() for _ in range(2)]

    assert all(GUID.fullmatch(each) for each in new)
    assert len({JOB, *new}) == 3
    assert run(stub, "retry", JOB, "--new-id", OTHER).stdout == f"{OTHER}\n"
    assert stub.requests[-1] == pb.RetryJobRequest(job_id=JOB, new_job_id=OTHER)


def test_a_retry_whose_outcome_is_unknown_names_the_id_to_ask_again_with(stub: StubFacade) -> None:
    """With the same id it is safe."""

    def away(_: object) -> None:
        raise Failure(grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", "The log is away.")

    stub.answer = away
    result = run(stub, "retry", JOB)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The log is away. ")
    assert result.stderr.endswith(f"add --new-id {stub.requests[-1].new_job_id}.\n")


@pytest.mark.parametrize(
    ("arguments", "failure", "expected"),
    [
        (
            ("get", JOB),
            Failure(grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "No such job is known."),
            "Error: No such job is known. `fabric-jobs jobs list` shows those that are.\n",
        ),
        (
            ("retry", JOB),
            Failure(grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_FINAL", "Wait.\nThen retry."),
            "Error: Wait. Then retry. `fabric-jobs jobs cancel` and `fabric-jobs jobs watch` do "
            "that.\n",
        ),
        (
            ("list",),
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER", "It can't be."),
            "Error: It can't be.\n",
        ),
    ],
    ids=["not found", "not final", "filter"],
)
def test_a_refusal_is_one_line_with_what_to_try_next(
    stub: StubFacade, arguments: tuple[str, ...], failure: Failure, expected: str
) -> None:
    """And exit code 2."""

    def refuse(_: object) -> None:
        raise failure

    stub.answer = refuse
    result = run(stub, *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", expected)


def test_a_failure_that_is_not_the_facade_s_own_is_one_line(stub: StubFacade) -> None:
    """Such as a bug: its code and what is said of it."""

    def fail(_: object) -> None:
        raise ValueError("oops")

    stub.answer = fail
    result = run(stub, "list")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {stub.address} answered UNKNOWN: ")
    assert result.stderr.count("\n") == 1


def applied(state: pb.Job, kind: str = "started") -> pb.WatchJobsResponse:
    """An event of a watch."""
    return pb.WatchJobsResponse(
        job=state, event_id="e", event_type=f"fabric.jobs.{kind}", event_time=CREATED
    )


def test_a_watch_is_a_line_an_event_until_the_facade_stops(stub: StubFacade) -> None:
    """Then it says so, and that is exit code 2: nobody should take it for the end of the jobs."""
    stub.watches = [
        [
            applied(job(**RUNNING, attempt=2)),
            applied(job(**FAILED, error=HOSTILE), "failed"),
        ]
    ]
    result = run(stub, "watch")

    assert result.stdout.splitlines() == [
        f"2026-11-23T20:14:01Z  {JOB}  started           InProgress   attempt 2",
        f"2026-11-23T20:14:01Z  {JOB}  failed            Failed       Odd: [red]one[/] [31mtwo",
    ]
    assert result.exit_code == 2
    assert result.stderr == (
        f"Watching; Ctrl-C ends it.\nError: The facade at {stub.address} stopped. Watch again.\n"
    )


def test_a_watch_for_scripts_is_a_line_of_json_an_event(stub: StubFacade) -> None:
    """With the fields of the API."""
    stub.watches = [[applied(job())]]
    (line,) = map(json.loads, run(stub, "watch", "--json").stdout.splitlines())

    assert line["eventType"] == "fabric.jobs.started"
    assert line["job"]["jobId"] == JOB


@pytest.mark.parametrize(
    ("end", "code", "stdout", "stderr"),
    [
        ({}, 0, "Completed\n", ""),
        ({"status": pb.JOB_INSTANCE_STATUS_CANCELLED}, 3, "Cancelled\n", ""),
        ({**FAILED, "error": HOSTILE}, 1, "Failed\n", "Odd: [red]one[/] [31mtwo\n"),
        (
            {**FAILED, "error": HOSTILE, "exhausted": True},
            1,
            "Failed\n",
            "Odd: [red]one[/] [31mtwo\nIts attempts are used up; "
            f"`fabric-jobs jobs retry {JOB}` starts it once more.\n",
        ),
    ],
    ids=["completed", "cancelled", "failed", "exhausted"],
)
def test_a_job_is_followed_to_its_end(
    stub: StubFacade, end: dict[str, Any], code: int, stdout: str, stderr: str
) -> None:
    """Over a facade that stops on the way; the exit code tells the outcome."""
    now = job(**RUNNING, sequence=2)
    stub.answer = lambda _: pb.GetJobResponse(job=now)
    stub.watches = [[], [applied(job(**end))]]
    result = run(stub, "watch", JOB)

    assert (result.exit_code, result.stdout, result.stderr) == (code, stdout, stderr)
    watched = [asked for asked in stub.requests if isinstance(asked, pb.WatchJobsRequest)]
    assert watched == [pb.WatchJobsRequest(job_id=JOB)] * 2


def test_a_job_to_which_nothing_happens_for_long_is_followed_all_the_same(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is how long the facade is away, not how long it had nothing to say before."""
    monkeypatch.setattr(fabric_jobs.cli.commands.jobs.watch, "PATIENCE_S", 0)
    stub.answer = lambda _: pb.GetJobResponse(job=job(**RUNNING, sequence=2))
    stub.watches = [[], [applied(job())]]

    assert run(stub, "watch", JOB).stdout == "Completed\n"


def test_a_facade_that_stays_away_ends_the_following(
    stub: StubFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own words, and exit code 2."""
    answers = [pb.GetJobResponse(job=job(**RUNNING, sequence=2))]

    def once(_: object) -> pb.GetJobResponse:
        if not answers:
            raise Failure(grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", "The log is away.")
        return answers.pop()

    monkeypatch.setattr(fabric_jobs.cli.commands.jobs.watch, "PATIENCE_S", 0)
    stub.answer = once
    stub.watches = [[], [], []]
    result = run(stub, "watch", JOB)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: The log is away.\n"


def test_following_a_job_for_scripts_tells_each_change_once(stub: StubFacade) -> None:
    """In JSON, whatever the facade repeats; the exit code alone tells the outcome."""
    states = [job(**RUNNING, sequence=1), job(**RUNNING, sequence=2), job(**FAILED, sequence=3)]
    stub.answer = lambda _: pb.GetJobResponse(job=states[1])
    stub.watches = [[applied(state) for state in states]]
    result = run(stub, "watch", JOB, "--json")

    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == ["2", "3"]
    assert result.exit_code == 1
    assert result.stderr == ""


def test_a_job_that_has_ended_is_told_at_once(stub: StubFacade) -> None:
    """Though nothing happens to it any more."""
    stub.answer = lambda _: pb.GetJobResponse(job=job())
    stub.watches = [[]]

    assert run(stub, "watch", JOB).stdout == "Completed\n"


@pytest.mark.parametrize("command", [("list",), ("watch",), ("watch", JOB), ("events", JOB)])
def test_a_facade_that_is_not_there_is_told_in_one_line(
    stub: StubFacade, command: tuple[str, ...]
) -> None:
    """At once, with what to do about it."""
    stub.address = "127.0.0.1:1"  # nobody may listen there
    result = run(stub, *command)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Error: No facade answers at 127.0.0.1:1. Start one with `fabric-jobs dev`, or name "
        "another's gRPC address with --grpc.\n"
    )


def test_a_kafka_that_is_not_there_is_told_in_one_line(stub: StubFacade) -> None:
    """Where the events were to be read from."""
    stub.answer = lambda _: pb.GetJobResponse(job=job())
    result = run(stub, "events", JOB, "--kafka", "127.0.0.1:1")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: Kafka at 127.0.0.1:1 gave no answer (KafkaConnectionError). Name the facade's "
        "Kafka with --kafka; `fabric-jobs dev` says its own in its first line.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--status", "Done"),
        ("list", "--since", "yesterday"),
        ("list", "--workspace", "mine"),
        ("list", "--since", "1h", "--until", "2h"),
        ("list", "--limit", "0"),
        ("get", "no-guid"),
        ("retry", JOB, "--new-id", "x"),
        ("events",),
    ],
)
def test_bad_input_is_exit_code_2_and_is_not_asked(
    stub: StubFacade, arguments: tuple[str, ...]
) -> None:
    """What is wrong is named."""
    result = run(stub, *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert stub.requests == []
