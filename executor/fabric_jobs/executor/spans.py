"""The spans of a run: one from its claim to the answer to its last report, and those within."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb


def running(dispatched: Dispatched) -> AbstractContextManager[Span]:
    """The whole run, linked to the claim of the attempt before it."""
    attributes: dict[str, str | int] = {
        "fabric_jobs.job_id": dispatched.job_id,
        "fabric_jobs.attempt": dispatched.attempt,
        "fabric_jobs.item_type": dispatched.item_type,
        "fabric_jobs.job_type": dispatched.job_type,
    }
    name, earlier = f"run {dispatched.job_type}", dispatched.earlier_traceparent
    return tracing.span(name, SpanKind.CONSUMER, attributes, link=earlier)


def sending(entry: pb.Claim | pb.Report) -> AbstractContextManager[Span]:
    """A claim, or a last report; the facade's spans about it come within."""
    return _sending(entry) if tracing.is_enabled() else tracing.NO_SPAN


@contextmanager
def _sending(entry: pb.Claim | pb.Report) -> Iterator[Span]:
    outcome = "claim" if isinstance(entry, pb.Claim) else f"report {entry.WhichOneof('outcome')}"
    with tracing.span(outcome, SpanKind.CLIENT) as span:
        entry.traceparent = tracing.current_traceparent() or ""
        yield span


def handling(dispatched: Dispatched) -> AbstractContextManager[Span]:
    """The handler itself: the current span while it runs, in a thread too."""
    return tracing.span(f"handle {dispatched.job_type}", SpanKind.INTERNAL)


def ended(outcome: str, error_code: str) -> None:
    """Says of the run, whose span is the current one, what became of it."""
    span = trace.get_current_span()
    span.set_attribute("fabric_jobs.outcome", outcome)
    if error_code:
        span.set_status(StatusCode.ERROR, error_code)
