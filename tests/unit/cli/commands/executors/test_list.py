"""`fabric-jobs executors list`, against a stub of the facade."""

import json

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import CREATED, StubFacade

EXECUTOR = pb.Executor(
    executor_id="blue-1",
    pool="reports",
    job_types=[pb.JobType(item_type="Item", job_type="run")],
    slots=10,
    free_slots=7,
    heartbeat_time=CREATED,
)


def test_list_prints_a_row_or_a_line_of_json_for_each_executor(stub: StubFacade) -> None:
    """A row has the executor's pool, free slots, last heartbeat and job types."""
    stub.answer = lambda request: pb.ListExecutorsResponse(executors=[EXECUTOR])
    table, scripted = stub.run("executors", "list"), stub.run("executors", "list", "--json")

    assert table.stdout.splitlines()[1].split() == [
        *("blue-1", "reports", "7", "of", "10", "2026-11-23T20:14:01Z", "Item", "run")
    ]
    assert json.loads(scripted.stdout)["executorId"] == "blue-1"
    assert (table.exit_code, scripted.exit_code) == (0, 0)


def test_list_shows_slots_that_are_held_by_handlers_that_do_not_end(stub: StubFacade) -> None:
    """They are in the column of the free slots, and in the JSON."""
    executor = pb.Executor(executor_id="blue-1", pool="reports", slots=10, hung_slots=2)
    stub.answer = lambda request: pb.ListExecutorsResponse(executors=[executor])
    table, scripted = stub.run("executors", "list"), stub.run("executors", "list", "--json")

    assert "0 of 10, 2 hung" in table.stdout
    assert json.loads(scripted.stdout)["hungSlots"] == 2


def test_list_without_executors_says_on_stderr_how_to_start_one(stub: StubFacade) -> None:
    """A script reads nothing from stdout."""
    stub.answer = lambda request: pb.ListExecutorsResponse()
    result = stub.run("executors", "list")

    assert result.stdout == ""
    assert "python -m fabric_jobs.executor" in result.stderr
