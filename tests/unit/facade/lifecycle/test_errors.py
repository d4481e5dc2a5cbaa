"""The errors that a job carries: their order, their attempts and their bounds."""

from time import process_time

import msgspec
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import (
    MAX_CODE_CHARS,
    MAX_ERROR_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_BYTES,
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.events import AttemptFailedData
from fabric_jobs.contract.jobs import Policy
from fabric_jobs.facade.startup.topics import MAX_EVENT_REST_BYTES
from tests.support.lifecycle import (
    PAYLOAD,
    WAYS,
    A,
    B,
    claim,
    decide_event,
    drive,
    failure,
    hand_back,
    lose_lease,
    report_failed,
    report_progress,
    request,
    retry,
    stamp,
)

RUNNING = WAYS["running"]
LARGEST = ErrorResponse(
    error_code="\x00" * 10_000,
    message="\x00" * 100_000,
    source=ErrorSource.EXTERNAL,
    message_parameters=("\x00" * 300,) * 200,
    more_details=(
        ErrorExtendedInformation(
            error_code="x" * 1_000,
            message="y" * 5_000,
            message_parameters=("z" * 300,) * 10,
            additional_parameters=(NameValuePair("n" * 300, "v" * 300),) * 10,
        ),
    )
    * 20,
)


def test_job_error_lists_earlier_errors_latest_first() -> None:
    """The job's error is the last attempt's; its details list the earlier ones by attempt."""
    job = drive([*RUNNING, report_failed(error=failure("First")), retry(), claim(2, B, "")])
    job = drive([lose_lease(2, B), claim(3, A, ""), report_failed(3, error=failure("Third"))], job)
    error = job.state.error
    assert error is not None
    assert error.error_code == "Third"
    assert [(d.error_code, d.additional_parameters) for d in error.more_details] == [
        ("ExecutorLost", (NameValuePair("attempt", "2"),)),
        ("First", (NameValuePair("attempt", "1"),)),
    ]


def test_job_error_lists_every_earlier_error_and_the_details_of_the_last_one() -> None:
    """Details of an earlier error would take the places of the earlier errors."""
    detail = ErrorExtendedInformation(error_code="RegionClosed", message="Region 4.")
    detailed = replace(failure("Detailed"), more_details=(detail,) * 5)
    job = drive([*RUNNING, report_failed(error=failure("First")), retry(), claim(2, B, "")])
    job = drive([report_failed(2, B, error=detailed), retry(2), claim(3, A, "")], job)
    job = drive([report_failed(3, error=replace(failure("Last"), more_details=(detail,)))], job)
    error = job.state.error
    assert error is not None
    assert [one.error_code for one in error.more_details] == ["RegionClosed", "Detailed", "First"]


def test_earlier_error_names_its_own_attempt_after_a_hand_back() -> None:
    """Attempt 1 failed, 2 was handed back, 3 failed: the earlier error is that of attempt 1."""
    job = drive([*RUNNING, report_failed(error=failure("First")), retry(), claim(2, B, "")])
    job = drive([hand_back(2, B), claim(3, A, ""), report_failed(3, error=failure("Third"))], job)
    assert job.state.error is not None
    [detail] = job.state.error.more_details
    assert (detail.error_code, detail.additional_parameters) == (
        "First",
        (NameValuePair("attempt", "1"),),
    )


def test_attempt_failed_event_carries_the_error_of_this_attempt_alone() -> None:
    """The event's error is this attempt's; the state's error lists the earlier ones too."""
    job = drive([*RUNNING, report_failed(error=failure("First")), retry(), claim(2, B, "")])
    event = decide_event(job, report_failed(2, B, failure("Second")), stamp())
    assert isinstance(event.data, AttemptFailedData)
    assert event.data.error == failure("Second")
    assert event.data.state.error is not None
    assert len(event.data.state.error.more_details) == 1


def test_lost_lease_error_is_a_system_error_that_names_the_executor() -> None:
    """The user sees that the service lost the run, not that the job's own code failed."""
    error = drive([*RUNNING, lose_lease()]).state.error
    assert error is not None
    assert (error.source, error.is_permanent) == (ErrorSource.SYSTEM, False)
    assert A in error.message


def test_bounded_cuts_the_error_to_its_bounds() -> None:
    """Code, message and the whole error are bounded; an error within the bounds is unchanged."""
    bounded = LARGEST.truncate()
    assert bounded.error_code == "\x00" * MAX_CODE_CHARS
    assert bounded.message == "\x00" * MAX_MESSAGE_CHARS
    assert len(msgspec.json.encode(bounded)) <= MAX_ERROR_BYTES
    assert bounded.truncate() == bounded
    assert failure().truncate() == failure()


def test_bounded_cuts_10000_details_within_a_second() -> None:
    """The time to cut grows in proportion to the details, so the replica is not held up."""
    detail = ErrorExtendedInformation(error_code="E", message="m")
    error = replace(LARGEST, message_parameters=(), more_details=(detail,) * 10_000)
    begun = process_time()
    error.truncate()
    assert process_time() - begun < 1


def test_bounded_drops_the_last_details_before_message_parameters() -> None:
    """An error that is too large keeps its first details, in order."""
    details = tuple(
        ErrorExtendedInformation(error_code=str(n), message="m" * 900) for n in range(30)
    )
    error = ErrorResponse(
        error_code="E",
        message="m",
        source=ErrorSource.USER,
        message_parameters=("p",),
        more_details=details,
    )
    bounded = error.truncate()
    assert bounded.message_parameters == ("p",)
    assert 10 < len(bounded.more_details) < 30
    assert bounded.more_details == details[: len(bounded.more_details)]


def test_traceback_is_only_in_the_event_of_the_failure() -> None:
    """The event has the end of the traceback within its bound; later events do not carry it."""
    job = drive([*RUNNING])
    again = decide_event(job, report_failed(traceback="é" * 9_000 + "ValueError"), stamp())
    assert isinstance(again, events.AttemptFailed)
    assert isinstance(again.data.traceback, str)
    assert again.data.traceback.endswith("éValueError")
    assert len(msgspec.json.encode(again.data.traceback)) > MAX_TRACEBACK_BYTES - 6
    assert len(msgspec.json.encode(again.data.traceback)) <= MAX_TRACEBACK_BYTES
    permanent = report_failed(error=failure(permanent=True), traceback="ValueError")
    last = decide_event(job, permanent, stamp())
    assert isinstance(last, events.Failed)
    assert last.data.traceback == "ValueError"
    assert b"traceback" not in events.encode(
        decide_event(drive([report_failed()], job), retry(), stamp())
    )


def test_largest_event_without_payload_fits_event_rest_bytes() -> None:
    """With every field at its bound, the event without its payload has at most so many bytes."""
    policy = Policy(max_attempts=100, initial_backoff_s=0)
    job, largest = drive([request()]), 0
    for attempt in range(1, 4):
        job = drive([claim(attempt, A, "", policy=policy)], job)
        job = drive([report_progress(attempt, message="\x00" * 5_000)], job)
        for last in (
            report_failed(attempt, error=LARGEST, traceback="\x00" * 100_000),
            hand_back(attempt),
        ):
            largest = max(largest, len(events.encode(decide_event(job, last, stamp("e" * 36)))))
        job = drive([report_failed(attempt, error=LARGEST), retry(attempt)], job)
    assert 2 * 8_192 < largest - len(PAYLOAD) <= MAX_EVENT_REST_BYTES
