"""The errors that a job carries: their order, their attempts and their bounds."""

from time import process_time

import msgspec
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import AttemptFailedData
from fabric_jobs.contract.jobs import (
    MAX_CODE_CHARS,
    MAX_ERROR_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_BYTES,
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
    Policy,
)
from fabric_jobs.facade.startup.topics import EVENT_REST_BYTES
from tests.support.lifecycle import (
    PAYLOAD,
    WAYS,
    A,
    B,
    claim,
    decided,
    driven,
    failed,
    failure,
    hand_back,
    lose_lease,
    progressed,
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


def test_the_final_error_lists_the_earlier_ones_latest_first() -> None:
    """The last attempt's error is the job's; each earlier one follows with its attempt."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    job = driven([lose_lease(2, B), claim(3, A, ""), failed(3, error=failure("Third"))], job)
    error = job.state.error
    assert error is not None
    assert error.error_code == "Third"
    assert [(d.error_code, d.additional_parameters) for d in error.more_details] == [
        ("ExecutorLost", (NameValuePair("attempt", "2"),)),
        ("First", (NameValuePair("attempt", "1"),)),
    ]


def test_an_earlier_error_names_its_own_attempt_also_past_a_hand_back() -> None:
    """Attempt 1 failed, 2 was handed back, 3 failed: the earlier error is attempt 1's."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    job = driven([hand_back(2, B), claim(3, A, ""), failed(3, error=failure("Third"))], job)
    assert job.state.error is not None
    [detail] = job.state.error.more_details
    assert (detail.error_code, detail.additional_parameters) == (
        "First",
        (NameValuePair("attempt", "1"),),
    )


def test_an_attempt_failed_event_carries_the_attempts_own_error() -> None:
    """The event's error is this attempt's alone; the state's lists what came before."""
    job = driven([*RUNNING, failed(error=failure("First")), retry(), claim(2, B, "")])
    event = decided(job, failed(2, B, failure("Second")), stamp())
    assert isinstance(event.data, AttemptFailedData)
    assert event.data.error == failure("Second")
    assert event.data.state.error is not None
    assert len(event.data.state.error.more_details) == 1


def test_a_lost_lease_is_an_error_of_ours_that_names_the_executor() -> None:
    """Fabric's user reads that the service lost the run, not that the job's code failed."""
    error = driven([*RUNNING, lose_lease()]).state.error
    assert error is not None
    assert (error.source, error.is_permanent) == (ErrorSource.SYSTEM, False)
    assert A in error.message


def test_error_texts_are_cut_to_their_bounds() -> None:
    """Code, message and the whole error are bounded; what fits is left as it is."""
    bounded = LARGEST.bounded()
    assert bounded.error_code == "\x00" * MAX_CODE_CHARS
    assert bounded.message == "\x00" * MAX_MESSAGE_CHARS
    assert len(msgspec.json.encode(bounded)) <= MAX_ERROR_BYTES
    assert bounded.bounded() == bounded
    assert failure().bounded() == failure()


def test_a_huge_error_is_cut_without_holding_up_the_replica() -> None:
    """Cutting takes time in proportion: a report of 10,000 details costs far below a second."""
    detail = ErrorExtendedInformation(error_code="E", message="m")
    error = replace(LARGEST, message_parameters=(), more_details=(detail,) * 10_000)
    begun = process_time()
    error.bounded()
    assert process_time() - begun < 1


def test_the_last_details_go_before_the_texts_parameters() -> None:
    """A too large error keeps its first details, in order."""
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
    bounded = error.bounded()
    assert bounded.message_parameters == ("p",)
    assert 10 < len(bounded.more_details) < 30
    assert bounded.more_details == details[: len(bounded.more_details)]


def test_a_traceback_is_in_the_event_of_the_failure_alone() -> None:
    """Its end, within its bound; what comes after the failure does not carry it on."""
    job = driven([*RUNNING])
    again = decided(job, failed(traceback="é" * 9_000 + "ValueError"), stamp())
    assert isinstance(again, events.AttemptFailed)
    assert isinstance(again.data.traceback, str)
    assert again.data.traceback.endswith("éValueError")
    assert len(msgspec.json.encode(again.data.traceback)) > MAX_TRACEBACK_BYTES - 6
    assert len(msgspec.json.encode(again.data.traceback)) <= MAX_TRACEBACK_BYTES
    permanent = failed(error=failure(permanent=True), traceback="ValueError")
    last = decided(job, permanent, stamp())
    assert isinstance(last, events.Failed)
    assert last.data.traceback == "ValueError"
    assert b"traceback" not in events.encode(decided(driven([failed()], job), retry(), stamp()))


def test_the_rest_of_the_largest_event_stays_within_what_the_topic_must_carry() -> None:
    """After failures at every bound, no event's part beside its payload exceeds the promise."""
    policy = Policy(max_attempts=100, initial_backoff_s=0)
    job, largest = driven([request()]), 0
    for attempt in range(1, 4):
        job = driven([claim(attempt, A, "", policy=policy)], job)
        job = driven([progressed(attempt, message="\x00" * 5_000)], job)
        for last in (
            failed(attempt, error=LARGEST, traceback="\x00" * 100_000),
            hand_back(attempt),
        ):
            largest = max(largest, len(events.encode(decided(job, last, stamp("e" * 36)))))
        job = driven([failed(attempt, error=LARGEST), retry(attempt)], job)
    assert 2 * 8_192 < largest - len(PAYLOAD) <= EVENT_REST_BYTES
