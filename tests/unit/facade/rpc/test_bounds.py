"""The bounds of the status API: what is outside gets its declared error."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from fabric_jobs.contract.errors import ErrorSource
from fabric_jobs.contract.heartbeats import MAX_JOB_TYPES, MAX_SLOTS, Run
from fabric_jobs.contract.wire import error_from_proto
from fabric_jobs.facade.rpc.bounds import (
    MAX_ENTRIES,
    MAX_PAGE_TOKEN_CHARS,
    OutOfBoundsError,
    RunTimeoutError,
    check_hello,
    check_message,
    check_run_timeouts,
    parse_attempt,
    parse_runs,
)
from fabric_jobs.facade.rpc.entries import command_of_report
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.facade.rpc.page_tokens import decode_page_token
from fabric_jobs.status.v1 import job_status_pb2 as pb

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
LONG = "x" * 129
KIND = pb.JobType(item_type="Item", job_type="job")
HELLO: dict[str, Any] = {"executor_id": "a", "pool": "p", "job_types": [KIND], "slots": 1}
BAD_HELLOS: dict[str, dict[str, Any]] = {
    "no id": {"executor_id": ""},
    "a long id": {"executor_id": LONG},
    "an id with a line break": {"executor_id": "a\nready"},
    "a pool with an escape": {"pool": "a\x1b[31m"},
    "a long pool": {"pool": LONG},
    "negative slots": {"slots": -1},
    "many slots": {"slots": MAX_SLOTS + 1},
    "many job types": {"job_types": [KIND] * (MAX_JOB_TYPES + 1)},
    "a long version": {"version": LONG},
    "an empty job type": {"job_types": [pb.JobType(item_type="Item")]},
    "a low priority": {"job_types": [pb.JobType(item_type="I", job_type="j", priority=-1)]},
    "a high priority": {"job_types": [pb.JobType(item_type="I", job_type="j", priority=10)]},
    "a long item type": {"job_types": [pb.JobType(item_type=LONG, job_type="job")]},
}


@pytest.mark.parametrize("fields", BAD_HELLOS.values(), ids=BAD_HELLOS)
def test_check_hello_field_out_of_bounds_is_refused(fields: dict[str, Any]) -> None:
    """The error names the field."""
    check_hello(pb.Hello(**HELLO))
    with pytest.raises(OutOfBoundsError, match=next(iter(fields))):
        check_hello(pb.Hello(**HELLO | fields))


def test_check_run_timeouts_beyond_the_longest_life_are_refused() -> None:
    """A timeout of exactly the longest life is accepted, and so is a handler without one."""
    kinds = [KIND, pb.JobType(item_type="I", job_type="j", run_timeout=Duration(seconds=7200))]
    check_run_timeouts(pb.Hello(job_types=kinds), 7200)
    kinds[1].run_timeout.nanos = 1
    with pytest.raises(RunTimeoutError, match=r"I j has run_timeout_s=7200.+ after 7200 s"):
        check_run_timeouts(pb.Hello(job_types=kinds), 7200)


def beat(**fields: Any) -> pb.SessionRequest:
    """Returns a message with a heartbeat."""
    return pb.SessionRequest(heartbeat=pb.Heartbeat(**fields))


BAD_MESSAGES: dict[str, pb.SessionRequest] = {
    "many claims": pb.SessionRequest(claims=[pb.Claim()] * (MAX_ENTRIES + 1)),
    "negative free slots": beat(free_slots=-1),
    "many free slots": beat(free_slots=2**31 - 1),
    "negative hung slots": beat(hung_slots=-1),
    "many hung slots": beat(hung_slots=2**31 - 1),
    "many full types": beat(full_job_types=[KIND] * (MAX_JOB_TYPES + 1)),
    "empty full types": beat(full_job_types=[pb.JobType()]),
    "many runs": beat(runs=[pb.Run()] * (MAX_SLOTS + 1)),
    "many claimed runs": beat(claims=[pb.Run()] * (MAX_SLOTS + 1)),
}


@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_check_message_out_of_bounds_is_refused(message: pb.SessionRequest) -> None:
    """It costs no more than its parsing."""
    with pytest.raises(OutOfBoundsError):
        check_message(message)


def test_check_message_at_its_bounds_is_accepted() -> None:
    """Entries are checked one by one, when they are decided."""
    check_message(pb.SessionRequest(claims=[pb.Claim()] * MAX_ENTRIES))
    check_message(beat(free_slots=MAX_SLOTS, runs=[pb.Run()] * MAX_SLOTS))


def test_parse_runs_gives_ids_in_lower_case_and_refuses_runs_that_are_none() -> None:
    """A lease is kept by the canonical id."""
    run = pb.Run(job_id=JOB_ID.upper(), attempt=2)
    assert parse_runs("runs", [run]) == [Run(JOB_ID, 2)]
    for bad in (pb.Run(), pb.Run(job_id="x", attempt=1), pb.Run(job_id=JOB_ID, attempt=-1)):
        with pytest.raises(OutOfBoundsError, match=r"heartbeat\.runs"):
            parse_runs("runs", [bad])


@pytest.mark.parametrize(
    "fields",
    [
        {"job_id": "x"},
        {"attempt": 0},
        {"attempt": -(2**31)},
        {"record": pb.Record(event_id=LONG)},
        {"record": pb.Record(partition=-1)},
        {"record": pb.Record(offset=-1)},
        {"record": pb.Record(offset=2**63 - 1)},
    ],
)
def test_parse_attempt_of_an_entry_out_of_bounds_is_refused(fields: dict[str, Any]) -> None:
    """The entry is refused as invalid."""
    good: dict[str, Any] = {"job_id": JOB_ID, "attempt": 1}
    assert parse_attempt(pb.Claim(**good)) == (JOB_ID, 1)
    with pytest.raises(ValueError, match=r"GUID|attempt|record"):
        parse_attempt(pb.Claim(**good | fields))


@pytest.mark.parametrize("fraction", [float("nan"), float("inf"), -0.1, 1.1])
def test_report_of_progress_that_is_no_fraction_is_always_invalid(fraction: float) -> None:
    """It is refused before it can wait behind another report."""
    report = pb.Report(job_id=JOB_ID, attempt=1, progress=pb.Progress(fraction=fraction))
    with pytest.raises(ValueError, match="fraction"):
        command_of_report("executor", report)


@pytest.mark.parametrize(
    ("source", "expected"), [("User", "User"), ("", "System"), ("user", "System")]
)
def test_error_with_an_unknown_source_is_of_the_system(source: str, expected: str) -> None:
    """A report of a failure is never lost for its source."""
    error = error_from_proto(pb.Error(error_code="x", source=source))
    assert error.source is ErrorSource(expected)


def test_error_without_a_code_has_the_code_of_any_handler_s_error() -> None:
    """Fabric requires a code, and an executor in another language may send none."""
    assert error_from_proto(pb.Error()).error_code == "HandlerError"
    assert error_from_proto(pb.Error(error_code="x")).error_code == "x"


@pytest.mark.parametrize(
    "request_",
    [
        pb.ListJobsRequest(statuses=[pb.JOB_INSTANCE_STATUS_FAILED] * 17),
        pb.ListJobsRequest(job_type=LONG),
        pb.ListJobsRequest(item_type=LONG),
    ],
)
def test_filter_out_of_bounds_is_refused(request_: pb.ListJobsRequest) -> None:
    """The error names the bound."""
    with pytest.raises(ValueError, match="at most"):
        filter_of(request_)


def test_page_token_above_its_bound_is_refused_without_decoding() -> None:
    """The error names the bound."""
    with pytest.raises(ValueError, match=str(MAX_PAGE_TOKEN_CHARS)):
        decode_page_token("x" * (MAX_PAGE_TOKEN_CHARS + 1), filter_of(pb.ListJobsRequest()))
