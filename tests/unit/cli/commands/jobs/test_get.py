"""`fabric-jobs jobs get`, against a stub of the facade."""

import json
import re

from fabric_jobs.cli.output.jobs import MAX_PAYLOAD_CHARS
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.stub_facade import CREATED, FAILED, JOB, StubFacade, job


def test_get_prints_a_row_for_each_known_property(stub: StubFacade) -> None:
    """An absent property has no row."""
    error = pb.Error(
        error_code="Last",
        message="no",
        source="System",
        details=[
            pb.ErrorDetail(error_code="RegionClosed", message="Region 4."),
            pb.ErrorDetail(error_code="First", additional_parameters={"attempt": "1"}),
        ],
    )
    got = job(**FAILED, error=error, attempt=2, failures=2, exhausted=True, end_time=CREATED)
    stub.answer = lambda _: pb.GetJobResponse(job=got, payload=b'{"a": 1}')
    rows = dict(
        re.split(r" {2,}", line, maxsplit=1)
        for line in stub.run("jobs", "get", JOB).stdout.splitlines()
    )

    assert rows["job"] == JOB
    assert rows["attempt"] == "2, 2 failed, exhausted"
    assert rows["error"] == "Last: no (System)"
    assert rows["detail"] == "RegionClosed: Region 4."
    assert rows["earlier"] == "First: (attempt 1)"
    assert rows["ended"] == "2026-11-23T20:14:01Z"
    assert rows["payload"] == '{"a": 1}'
    assert rows.keys() & {"started", "due", "executor", "progress"} == set()


def test_get_shortens_a_large_payload_except_in_json(stub: StubFacade) -> None:
    """In JSON the payload is unchanged, with every digit of its numbers."""
    text = b"x" * MAX_PAYLOAD_CHARS
    payload = b'{"n": 123456789012345678901234567890,\n "text": "%s"}' % text
    stub.answer = lambda _: pb.GetJobResponse(job=job(), payload=payload)
    table = stub.run("jobs", "get", JOB).stdout
    scripted = stub.run("jobs", "get", JOB, "--json").stdout

    assert table.rstrip().endswith("xxx… `--json` shows all of it.")
    assert scripted.count("\n") == 1
    assert '"n":123456789012345678901234567890,' in scripted
    assert json.loads(scripted)["payload"] == json.loads(payload)


def test_get_with_an_id_that_is_no_guid_is_exit_code_2_and_sends_nothing(stub: StubFacade) -> None:
    """The error says what is wrong."""
    result = stub.run("jobs", "get", "no-guid")

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert stub.requests == []
