"""The final report of a run: what it says, given how the handler ended."""

import asyncio

from fabric_jobs.contract.errors import MAX_TRACEBACK_BYTES, ErrorResponse, truncate_traceback
from fabric_jobs.contract.wire import error_to_proto, utf8_text
from fabric_jobs.executor.errors import JobFailed, JobStopped
from fabric_jobs.executor.runs.tracebacks import strip_executor_frames
from fabric_jobs.runtime.text import exception_text, format_exception, truncate_start
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: How many exceptions of a group the failure's message names.
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

    For an exception group with one member, as a `TaskGroup` raises it, the error is the member's.
    The traceback shows the group, too.
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
    error = members[0] if len(members) == 1 else raised
    # The facade cuts the error too, but an oversized message would break each stream that sends it.
    failed = error_to_proto(_error_response(error).truncate())
    # The author of a `JobFailed` without a cause chose the text.
    has_traceback = error.__cause__ is not None or not _chosen_response(error)
    return pb.Report(failed=failed, traceback=_format_traceback(raised) if has_traceback else "")


def _format_traceback(raised: BaseException) -> str:
    text = truncate_start(format_exception(strip_executor_frames(raised)), MAX_TRACEBACK_BYTES)
    return truncate_traceback(utf8_text(f"{text}\n"))


def _error_response(raised: BaseException) -> ErrorResponse:
    if response := _chosen_response(raised):
        return response
    shown = [raised]
    if isinstance(raised, BaseExceptionGroup):
        shown += members_of(raised)[:MAX_MEMBERS]
    return JobFailed("; ".join(map(_describe, shown))).response


def _describe(raised: BaseException) -> str:
    name, text = type(raised).__name__, exception_text(raised)
    return f"{name}: {text}" if text else name


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
