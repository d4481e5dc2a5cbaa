"""The spans of a run: the run itself, and within it the claim, the handler and the last report."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb


def run_span(dispatched: DispatchedAttempt) -> AbstractContextManager[Span]:
    """Returns the span of the whole run, linked to the claim of the previous attempt."""
    attributes: dict[str, str | int] = {
        "fabric_jobs.job_id": dispatched.job_id,
        "fabric_jobs.attempt": dispatched.attempt,
        "fabric_jobs.item_type": dispatched.item_type,
        "fabric_jobs.job_type": dispatched.job_type,
    }
    name, earlier = f"run {dispatched.job_type}", dispatched.earlier_traceparent
    return tracing.span(name, SpanKind.CONSUMER, attributes, link=earlier)


def entry_span(entry: pb.Claim | pb.Report) -> AbstractContextManager[Span]:
    """Returns the span of a claim or of a last report, from sending it to its answer.

    The entry carries the span's trace context, so the facade's spans become its children.
    """
    return _entry_span(entry) if tracing.is_enabled() else tracing.NO_SPAN


@contextmanager
def _entry_span(entry: pb.Claim | pb.Report) -> Iterator[Span]:
    name = "claim" if isinstance(entry, pb.Claim) else f"report {entry.WhichOneof('outcome')}"
    with tracing.span(name, SpanKind.CLIENT) as span:
        entry.traceparent = tracing.current_traceparent() or ""
        yield span


def handler_span(dispatched: DispatchedAttempt, *, is_sealed: bool) -> AbstractContextManager[Span]:
    """Returns the span of the handler. It is the current span in the handler, also in a thread.

    The span of a job whose secrets are sealed has the type of an exception, and not its text.
    """
    name = f"handle {dispatched.job_type}"
    return _sealed_span(name) if is_sealed else tracing.span(name, SpanKind.INTERNAL)


@contextmanager
def _sealed_span(name: str) -> Iterator[Span]:
    with tracing.span(name, SpanKind.INTERNAL, record_exception=False) as span:
        try:
            yield span
        except Exception as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def set_outcome(outcome: str, error_code: str) -> None:
    """Records the outcome of the run in its span, which must be the current span.

    A non-empty error code marks the span as failed.
    """
    span = trace.get_current_span()
    span.set_attribute("fabric_jobs.outcome", outcome)
    if error_code:
        span.set_status(StatusCode.ERROR, error_code)
