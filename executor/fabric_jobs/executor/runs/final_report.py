"""The final report of a run: what it says, given how the handler ended."""

import asyncio

from msgspec.structs import replace

from fabric_jobs.contract.errors import (
    HANDLER_ERROR,
    MAX_TRACEBACK_BYTES,
    ErrorExtendedInformation,
    ErrorResponse,
    truncate_traceback,
)
from fabric_jobs.contract.wire import error_to_proto, utf8_text
from fabric_jobs.executor.errors import JobFailed, JobStopped
from fabric_jobs.executor.runs.tracebacks import strip_executor_frames
from fabric_jobs.runtime.text import exception_text, format_exception, truncate_start
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: How many exceptions of a group the failure's message or its details name.
MAX_MEMBERS = 5


class ProcessReportError(Exception):
    """Raised for a handler that did not complete in its process, which made the report."""

    def __init__(self, report: pb.Report) -> None:
        super().__init__(report.failed.message)
        self.report = report


def make_final_report(raised: BaseException | None, *, cancel_requested: bool) -> pb.Report:
    """Returns the report for what a handler raised, without the run's ids.

    A handler that returned has completed its job. A handler that raised `CancelledError` or
    `JobStopped` after a cancel was requested has stopped. Any other exception is a failure.

    For an exception group, as a `TaskGroup` raises it, the error is that of its only member, or
    that of the first `JobFailed` in it, of the permanent ones if there are any. The details then
    name the other members. The traceback shows the whole group.
    """
    if isinstance(raised, ProcessReportError):
        return raised.report
    if raised is None:
        return pb.Report(completed=pb.Completed())
    members = members_of(raised)
    if cancel_requested and all(
        isinstance(member, asyncio.CancelledError | JobStopped) for member in members
    ):
        return pb.Report(stopped=pb.Stopped())
    # The facade cuts the error too, but an oversized message would break each stream that sends it.
    failed = error_to_proto(_error_response(raised, members).truncate())
    # The author of a `JobFailed` without a cause chose the text.
    has_traceback = any(one.__cause__ is not None or not _chosen_response(one) for one in members)
    return pb.Report(failed=failed, traceback=_format_traceback(raised) if has_traceback else "")


def _format_traceback(raised: BaseException) -> str:
    text = truncate_start(format_exception(strip_executor_frames(raised)), MAX_TRACEBACK_BYTES)
    return truncate_traceback(utf8_text(f"{text}\n"))


def _error_response(raised: BaseException, members: list[BaseException]) -> ErrorResponse:
    if chosen := [response for one in members if (response := _chosen_response(one))]:
        response = next((one for one in chosen if one.is_permanent), chosen[0])
        return replace(
            response, more_details=(*response.more_details, *_other_errors(response, members))
        )
    shown = members[:MAX_MEMBERS]
    if len(members) > 1:
        shown = [raised, *shown]
    return JobFailed("; ".join(map(_describe, shown))).response


def _other_errors(
    response: ErrorResponse, members: list[BaseException]
) -> list[ErrorExtendedInformation]:
    """Returns the members' errors that differ from the response, each once."""
    seen = {(response.error_code, response.message)}
    others = []
    for one in members:
        chosen = _chosen_response(one)
        error = (chosen.error_code, chosen.message) if chosen else (HANDLER_ERROR, _describe(one))
        if error not in seen:
            seen.add(error)
            others.append(ErrorExtendedInformation(error_code=error[0], message=error[1]))
            if len(others) == MAX_MEMBERS:
                break
    return others


def _describe(raised: BaseException) -> str:
    name, text = type(raised).__name__, exception_text(raised)
    return utf8_text(f"{name}: {text}" if text else name)


def members_of(raised: BaseException) -> list[BaseException]:
    """Returns the exceptions of a group and of the groups in it, or the exception itself."""
    found: list[BaseException] = []
    left = [raised]
    while left:
        error = left.pop()
        if isinstance(error, BaseExceptionGroup):
            left += reversed(error.exceptions)
        else:
            found.append(error)
    return found


def _chosen_response(raised: BaseException) -> ErrorResponse | None:
    """Returns the response of a `JobFailed`.

    A subclass whose `__init__` does not call that of `JobFailed` has none.
    """
    response = getattr(raised, "response", None) if isinstance(raised, JobFailed) else None
    return response if isinstance(response, ErrorResponse) else None
