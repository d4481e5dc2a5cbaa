"""What the end of a handler means, as a report that does not name its run yet."""

import asyncio
import traceback
from contextlib import suppress

from fabric_jobs.contract.jobs import ErrorResponse, truncate_traceback
from fabric_jobs.contract.wire import error_to_proto, utf8_text
from fabric_jobs.executor.errors import JobFailed, JobStopped
from fabric_jobs.executor.tracebacks import authored
from fabric_jobs.status.v1 import job_status_pb2 as pb


def outcome_of(raised: BaseException | None, *, cancel_requested: bool) -> pb.Report:
    """A handler that returns has completed, one that stops because it was asked to has stopped,
    and one that raises anything else has failed."""
    if raised is None:
        return pb.Report(completed=pb.Completed())
    if cancel_requested and isinstance(raised, asyncio.CancelledError | JobStopped):
        return pb.Report(stopped=pb.Stopped())
    # Bounded here too: an oversized message would break the stream each time it is sent.
    failed = error_to_proto(_response(raised).truncate())
    return pb.Report(failed=failed, traceback=_traceback(raised))


def _traceback(raised: BaseException) -> str:
    """Nothing for what its author chose to raise, unless that tells of what caused it."""
    if isinstance(raised, JobFailed) and raised.__cause__ is None:
        return ""
    lines = traceback.format_exception(authored(raised))
    return truncate_traceback(utf8_text("".join(lines)))


def _response(raised: BaseException) -> ErrorResponse:
    if isinstance(raised, JobFailed):
        return raised.response
    name, text = type(raised).__name__, ""
    with suppress(Exception):  # what an author's exception says of itself is the author's code
        text = str(raised)
    return JobFailed(f"{name}: {text}" if text else name).response
