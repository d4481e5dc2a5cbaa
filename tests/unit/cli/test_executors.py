"""`fabric-jobs executors`, against a scripted facade."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from fabric_jobs.cli.main import main
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import CREATED, StubFacade, stub_facade

EXECUTOR = pb.Executor(
    executor_id="blue-1",
    pool="reports",
    job_types=[pb.JobType(item_type="Item", job_type="run")],
    slots=10,
    free_slots=7,
    heartbeat_time=CREATED,
)


@pytest.fixture
def stub() -> Iterator[StubFacade]:
    """A facade that answers what the test says."""
    with stub_facade() as stub:
        yield stub


def run(stub: StubFacade, *arguments: str) -> Result:
    """`fabric-jobs executors list` at that facade."""
    return CliRunner().invoke(main, ["executors", "list", "--grpc", stub.address, *arguments])


def test_executors_are_a_row_each_for_people_and_a_line_each_for_scripts(stub: StubFacade) -> None:
    """With their pool, their room, and what they have handlers for."""
    stub.answer = lambda request: pb.ListExecutorsResponse(executors=[EXECUTOR])
    table, scripted = run(stub), run(stub, "--json")

    assert table.stdout.splitlines()[1].split() == [
        *("blue-1", "reports", "7", "of", "10", "2026-11-23T20:14:01Z", "Item", "run")
    ]
    assert json.loads(scripted.stdout)["executorId"] == "blue-1"
    assert (table.exit_code, scripted.exit_code) == (0, 0)


def test_where_no_executor_is_there_it_says_what_to_do(stub: StubFacade) -> None:
    """On stderr, so that a script reads nothing."""
    stub.answer = lambda request: pb.ListExecutorsResponse()
    result = run(stub)

    assert result.stdout == ""
    assert "python -m fabric_jobs.executor" in result.stderr
