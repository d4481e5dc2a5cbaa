"""What the end of a handler is reported as."""

import asyncio

import pytest

from fabric_jobs.contract.jobs import MAX_MESSAGE_CHARS, MAX_TRACEBACK_BYTES
from fabric_jobs.executor import ErrorSource, JobFailed, JobStopped
from fabric_jobs.executor.outcomes import outcome_of
from fabric_jobs.status.v1 import job_status_pb2 as pb

STOPS = [asyncio.CancelledError(), JobStopped()]


def failure(raised: BaseException, *, cancel_requested: bool = False) -> pb.Error:
    """The error that is reported."""
    outcome = outcome_of(raised, cancel_requested=cancel_requested)
    assert outcome.WhichOneof("outcome") == "failed"
    return outcome.failed


@pytest.mark.parametrize("cancel_requested", [True, False])
def test_a_handler_that_returns_has_completed(cancel_requested: bool) -> None:
    """Also when it was asked to stop: the work is done."""
    outcome = outcome_of(None, cancel_requested=cancel_requested)

    assert outcome.WhichOneof("outcome") == "completed"


@pytest.mark.parametrize("raised", STOPS)
def test_a_handler_that_stops_because_it_was_asked_to_has_stopped(raised: BaseException) -> None:
    """`CancelledError` and `JobStopped` say so."""
    assert outcome_of(raised, cancel_requested=True).WhichOneof("outcome") == "stopped"


@pytest.mark.parametrize("raised", STOPS)
def test_a_handler_that_stops_unasked_has_failed(raised: BaseException) -> None:
    """A cancelled inner task is not a cancelled job."""
    assert failure(raised).message == type(raised).__name__


@pytest.mark.parametrize("cancel_requested", [True, False])
def test_an_exception_is_a_system_error_that_may_be_tried_again(cancel_requested: bool) -> None:
    """The message names the exception; a clean-up that fails is a failure too."""
    assert failure(ValueError("text"), cancel_requested=cancel_requested) == pb.Error(
        error_code="HandlerError", message="ValueError: text", source="System", permanent=False
    )


def test_job_failed_chooses_the_error() -> None:
    """Code, source, and whether trying again helps."""
    chosen = JobFailed("No.", code="RegionClosed", source=ErrorSource.EXTERNAL, permanent=True)

    assert failure(chosen) == pb.Error(
        error_code="RegionClosed", message="No.", source="External", permanent=True
    )


def test_job_failed_alone_is_like_any_exception() -> None:
    """But its message is its own."""
    assert failure(JobFailed("No.")) == pb.Error(
        error_code="HandlerError", message="No.", source="System"
    )


def test_an_error_fits_the_stream_whatever_its_text() -> None:
    """Cut to its bound, and to what UTF-8 can say; so is its traceback."""
    assert len(failure(ValueError("x" * 10_000_000)).message) == MAX_MESSAGE_CHARS
    assert failure(ValueError("file \udcff")).message == "ValueError: file ?"
    told = outcome_of(ValueError("x" * 10_000_000 + "\udcff"), cancel_requested=False).traceback
    assert len(told.encode()) <= MAX_TRACEBACK_BYTES
    assert told.endswith("x?\n")


def test_an_exception_comes_with_its_traceback_and_a_chosen_error_without() -> None:
    """What an author chose needs no explaining."""
    raised: list[Exception] = []
    for error in (ZeroDivisionError("by zero"), JobFailed("No.")):
        try:
            raise error
        except Exception as caught:
            raised.append(caught)
    accident, chosen = (outcome_of(each, cancel_requested=False).traceback for each in raised)

    assert accident.startswith("Traceback (most recent call last):\n")
    assert accident.endswith("raise error\nZeroDivisionError: by zero\n")
    assert chosen == ""


def test_a_chosen_error_that_names_its_cause_tells_of_it() -> None:
    """What a service answered is worth more than the words for Fabric alone."""
    try:
        try:
            raise ConnectionError("refused")
        except ConnectionError as error:
            raise JobFailed("The table can't be read.") from error
    except JobFailed as caught:
        told = outcome_of(caught, cancel_requested=False).traceback

    assert "ConnectionError: refused" in told
    assert told.endswith("JobFailed: The table can't be read.\n")


def test_an_exception_that_can_t_say_what_it_is_is_named_all_the_same() -> None:
    """Else its run would end unreported, and its job wait for a lease."""

    class Mute(Exception):  # noqa: N818 - a bad one
        def __str__(self) -> str:
            raise AttributeError("reason")

    assert failure(Mute()).message == "Mute"
