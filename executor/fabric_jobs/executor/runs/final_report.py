"""The final report of a run: what it says, given how the handler ended."""

import asyncio

from fabric_jobs.contract.errors import MAX_TRACEBACK_BYTES, ErrorResponse, truncate_traceback
from fabric_jobs.contract.wire import error_to_proto, utf8_text
from fabric_jobs.executor.errors import JobFailed, JobStopped
from fabric_jobs.executor.runs.tracebacks import strip_executor_frames
from fabric_jobs.runtime.text import exception_text, format_exception, truncate_start
from fabric_jobs.status.v1 import job_status_pb2 as pb


class ProcessReportError(Exception):
    """Raised for a handler that did not complete in its process, which made the report."""

    def __init__(self, report: pb.Report) -> None:
        super().__init__(report.failed.message)
        self.report = report


def make_final_report(raised: BaseException | None, *, cancel_requested: bool) -> pb.Report:
    """Returns the report for what a handler raised, without the run's ids.

    A handler that returned has completed its job. A handler that raised `CancelledError` or
    `JobStopped` after a cancel was requested has stopped. Any other exception is a failure.
    """
    if isinstance(raised, ProcessReportError):
        return raised.report
    if raised is None:
        return pb.Report(completed=pb.Completed())
    if cancel_requested and isinstance(raised, asyncio.CancelledError | JobStopped):
        return pb.Report(stopped=pb.Stopped())
    # The facade cuts the error too, but an oversized message would break each stream that sends it.
    failed = error_to_proto(_error_response(raised).truncate())
    return pb.Report(failed=failed, traceback=_format_traceback(raised))


def _format_traceback(raised: BaseException) -> str:
    """Returns the traceback, or "" for a `JobFailed` without a cause: its author chose the text."""
    if _chosen_response(raised) and raised.__cause__ is None:
        return ""
    text = truncate_start(format_exception(strip_executor_frames(raised)), MAX_TRACEBACK_BYTES)
    return truncate_traceback(utf8_text(f"{text}\n"))


def _error_response(raised: BaseException) -> ErrorResponse:
    if response := _chosen_response(raised):
        return response
    name, text = type(raised).__name__, exception_text(raised)
    return JobFailed(f"{name}: {text}" if text else name).response


def _chosen_response(raised: BaseException) -> ErrorResponse | None:
    """Returns the response of a `JobFailed`.

    A subclass whose `__init__` does not call that of `JobFailed` has none.
    """
    response = getattr(raised, "response", None) if isinstance(raised, JobFailed) else None
    return response if isinstance(response, ErrorResponse) else None
