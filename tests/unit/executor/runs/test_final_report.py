"""The final report of a run, by what its handler raised."""

import asyncio
import time
from typing import Any

import pytest

from fabric_jobs.contract.errors import (
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_BYTES,
    ErrorExtendedInformation,
)
from fabric_jobs.executor import AccessTokenError, ErrorSource, JobFailed, JobStopped
from fabric_jobs.executor.runs.final_report import make_final_report
from fabric_jobs.status.v1 import job_status_pb2 as pb

STOPS = [asyncio.CancelledError(), JobStopped()]


def failure(raised: BaseException, *, cancel_requested: bool = False) -> pb.Error:
    """Returns the error of the report, which must say that the handler failed."""
    report = make_final_report(raised, cancel_requested=cancel_requested)
    assert report.WhichOneof("outcome") == "failed"
    return report.failed


@pytest.mark.parametrize("cancel_requested", [True, False])
def test_report_of_handler_that_returned_is_completed(cancel_requested: bool) -> None:
    """Also after a cancel was requested, because the work is done."""
    report = make_final_report(None, cancel_requested=cancel_requested)

    assert report.WhichOneof("outcome") == "completed"


@pytest.mark.parametrize("raised", STOPS)
def test_report_of_handler_that_stopped_after_a_cancel_is_stopped(raised: BaseException) -> None:
    """A handler stops by `CancelledError` or `JobStopped`."""
    assert make_final_report(raised, cancel_requested=True).WhichOneof("outcome") == "stopped"


@pytest.mark.parametrize("raised", STOPS)
def test_report_of_handler_that_stopped_without_a_cancel_is_failed(raised: BaseException) -> None:
    """A handler may get `CancelledError` from a task of its own, and the job is not cancelled."""
    assert failure(raised).message == type(raised).__name__


@pytest.mark.parametrize("cancel_requested", [True, False])
def test_report_of_handler_that_raised_is_a_system_error_that_is_not_permanent(
    cancel_requested: bool,
) -> None:
    """The message names the exception. An exception after a cancel is a failure too."""
    assert failure(ValueError("text"), cancel_requested=cancel_requested) == pb.Error(
        error_code="HandlerError", message="ValueError: text", source="System", permanent=False
    )


def test_report_of_job_failed_has_the_chosen_code_source_and_permanence() -> None:
    """The error is the one that the handler's author chose."""
    chosen = JobFailed("No.", code="RegionClosed", source=ErrorSource.EXTERNAL, permanent=True)

    assert failure(chosen) == pb.Error(
        error_code="RegionClosed", message="No.", source="External", permanent=True
    )


def test_report_of_job_failed_with_a_message_only_has_the_default_code_and_source() -> None:
    """The defaults are those of any exception. The message stands without the exception's name."""
    assert failure(JobFailed("No.")) == pb.Error(
        error_code="HandlerError", message="No.", source="System"
    )


@pytest.mark.parametrize(("code", "reported"), [(404, "404"), ("", "HandlerError")])
def test_report_of_job_failed_with_an_odd_code_keeps_its_message(code: Any, reported: str) -> None:
    """A number becomes a text. Fabric requires a code, so an empty text becomes the default."""
    assert failure(JobFailed("No.", code=code)) == pb.Error(
        error_code=reported, message="No.", source="System"
    )


def test_job_failed_with_an_unknown_source_raises_an_error_that_names_the_sources() -> None:
    """The source decides whom Fabric's pages blame, so it is never guessed."""
    source: Any = "user"
    with pytest.raises(ValueError, match="must be System, User or External, not 'user'"):
        JobFailed("No.", source=source)


def test_report_with_an_oversized_or_invalid_text_is_cut_and_valid_utf8() -> None:
    """This holds for the error's message and for its traceback."""
    assert len(failure(ValueError("x" * 10_000_000)).message) == MAX_MESSAGE_CHARS
    assert failure(ValueError("file \udcff")).message == "ValueError: file ?"
    text = make_final_report(
        ValueError("\udcff" + "x" * 10_000_000), cancel_requested=False
    ).traceback
    assert len(text.encode()) <= MAX_TRACEBACK_BYTES
    assert text.startswith("ValueError: ?x")
    assert text.endswith("x… (9995905 characters were cut)\n")


def test_report_has_a_traceback_for_an_exception_and_none_for_job_failed() -> None:
    """A `JobFailed` needs no traceback, because its author chose the text."""
    raised: list[Exception] = []
    for error in (ZeroDivisionError("by zero"), JobFailed("No.")):
        try:
            raise error
        except Exception as caught:
            raised.append(caught)
    accident, chosen = (
        make_final_report(each, cancel_requested=False).traceback for each in raised
    )

    assert accident.startswith("Traceback (most recent call last):\n")
    assert accident.endswith("raise error\nZeroDivisionError: by zero\n")
    assert chosen == ""


def test_report_of_job_failed_with_a_cause_has_the_traceback_of_both() -> None:
    """The cause, such as a refused connection, helps the author more than the text for Fabric."""
    try:
        try:
            raise ConnectionError("refused")
        except ConnectionError as error:
            raise JobFailed("The table can't be read.") from error
    except JobFailed as caught:
        text = make_final_report(caught, cancel_requested=False).traceback

    assert "ConnectionError: refused" in text
    assert text.endswith("JobFailed: The table can't be read.\n")


def test_report_of_a_group_with_one_member_is_that_of_the_member() -> None:
    """A `TaskGroup` raises a group for the error of one task. Its code must not be lost."""
    error = JobFailed("no rows", code="NoRows", permanent=True)
    group = ExceptionGroup("of a task group", [ExceptionGroup("of another", [error])])

    assert failure(group) == failure(error)
    assert failure(group).error_code == "NoRows"


def test_traceback_of_a_group_with_one_member_shows_the_group() -> None:
    """The group has the author's text, and the place in the handler from which it came."""
    try:
        raise ExceptionGroup("import of sales.csv", [ValueError("row 7")])
    except ExceptionGroup as group:
        report = make_final_report(group, cancel_requested=False)

    assert report.failed.message == "ValueError: row 7"
    for part in ("in test_traceback_of_a_group", "import of sales.csv", "ValueError: row 7"):
        assert part in report.traceback


def test_report_of_a_group_with_several_members_names_them() -> None:
    """The text of the group alone does not say what happened."""
    group = ExceptionGroup("errors", [ValueError("no rows"), KeyError("x")])

    assert failure(group).message == (
        "ExceptionGroup: errors (2 sub-exceptions); ValueError: no rows; KeyError: 'x'"
    )


def test_report_of_a_group_with_several_members_is_that_of_its_job_failed() -> None:
    """Two tasks may fail at once. The code and the permanence that the author chose must last."""
    retryable = JobFailed("Region 1 is busy.", code="RegionBusy", source="External")
    closed = JobFailed("Region 2 is closed.", code="RegionClosed", source="User", permanent=True)
    group = ExceptionGroup("tasks", [ValueError("no rows"), retryable, closed, closed])

    assert failure(group) == pb.Error(
        error_code="RegionClosed",
        message="Region 2 is closed.",
        source="User",
        permanent=True,
        details=[
            pb.ErrorDetail(error_code="HandlerError", message="ValueError: no rows"),
            pb.ErrorDetail(error_code="RegionBusy", message="Region 1 is busy."),
        ],
    )
    assert failure(ExceptionGroup("tasks", [ValueError("x"), retryable])).error_code == "RegionBusy"


def test_report_of_a_group_of_equal_access_token_errors_has_the_details_of_one() -> None:
    """Fifty tasks may need the user's consent. Fabric's front end reads the first detail."""
    detail = ErrorExtendedInformation(error_code="interaction_required", message="Consent.")
    errors = [AccessTokenError("x", code="AuthUIRequired", details=(detail,)) for _ in range(50)]
    report = make_final_report(ExceptionGroup("tasks", errors), cancel_requested=False)

    assert report.failed == failure(errors[0])
    assert [one.error_code for one in report.failed.details] == ["interaction_required"]
    assert report.traceback == ""


def test_report_of_a_group_with_a_text_that_can_not_be_encoded_is_made() -> None:
    """A name of a file can have lone surrogates. Without a report, the run would count as lost."""
    group = ExceptionGroup("tasks", [JobFailed("No."), ValueError("no file \udcff")])

    assert [one.message for one in failure(group).details] == ["ValueError: no file ?"]


def test_report_of_a_group_of_many_different_errors_names_five_of_them() -> None:
    """An error has a bound, and its first details say enough."""
    errors = [JobFailed("No.", code="No"), *(ValueError(number) for number in range(50))]

    assert len(failure(ExceptionGroup("tasks", errors)).details) == 5


def test_report_of_a_group_of_stops_after_a_cancel_is_stopped() -> None:
    """Several tasks may notice the cancel. Another error among them is a failure."""
    stops = BaseExceptionGroup("stops", STOPS)
    mixed = BaseExceptionGroup("mixed", [*STOPS, ValueError("no rows")])

    assert make_final_report(stops, cancel_requested=True).HasField("stopped")
    assert failure(mixed, cancel_requested=True).message.endswith("ValueError: no rows")


def test_report_of_job_failed_without_a_response_is_that_of_any_exception() -> None:
    """A subclass whose `__init__` does not call that of `JobFailed` has no response."""

    class NoRowsError(JobFailed):
        def __init__(self, table: str) -> None:
            self.table = table

    report = make_final_report(NoRowsError("sales"), cancel_requested=False)

    assert report.failed.error_code == "HandlerError"
    assert report.failed.message == "NoRowsError: sales"
    assert "NoRowsError: sales" in report.traceback


def test_report_of_exception_whose_text_can_t_be_read_has_its_class_name() -> None:
    """If the error of its `__str__` escaped, the run would end without a report."""

    class Mute(Exception):  # noqa: N818 - a badly written exception
        def __str__(self) -> str:
            raise AttributeError("reason")

    assert failure(Mute()).message == "Mute: (its text can't be made)"


def test_report_of_exception_whose_text_raises_keyboard_interrupt_is_a_failure() -> None:
    """The executor would end, and a neighbour's run with it."""

    class Rude(Exception):  # noqa: N818 - a badly written exception
        def __str__(self) -> str:
            raise KeyboardInterrupt

    report = make_final_report(Rude(), cancel_requested=False)
    assert report.failed.message == "Rude: (its text can't be made)"
    assert report.traceback.endswith("Rude: (its text can't be made)\n")


def test_report_of_exception_with_a_text_of_200_mb_takes_no_time() -> None:
    """The event loop of every other run would stand still meanwhile."""
    error = ValueError("x\n" * 100_000_000)
    began = time.perf_counter()
    report = make_final_report(error, cancel_requested=False)
    assert time.perf_counter() - began < 0.25
    assert report.ByteSize() < 2 * MAX_TRACEBACK_BYTES
