"""Tracing by OpenTelemetry. All work for a job belongs to one trace, whichever program does it.

While tracing is disabled, no function here creates a span, and a request's trace context is still
passed on to what a handler calls.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_HEADER = "traceparent"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_w3c = TraceContextTextMapPropagator()
_tracer: Tracer | None = None
#: Stands for every span while tracing is disabled. It ignores attributes and status.
NO_SPAN: AbstractContextManager[Span] = nullcontext(trace.INVALID_SPAN)
_NO_CONTEXT: AbstractContextManager[None] = nullcontext()


def enable() -> None:
    """Enables tracing if a tracer provider is installed."""
    global _tracer
    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider):
        _tracer = provider.get_tracer("fabric_jobs")


def is_enabled() -> bool:
    """Returns whether spans are created."""
    return _tracer is not None


def span(
    name: str,
    kind: SpanKind,
    attributes: "Mapping[str, AttributeValue] | None" = None,
    *,
    traceparent: str | None = None,
    link: str | None = None,
    record_exception: bool = True,
) -> AbstractContextManager[Span]:
    """Starts a span that is the current span inside the block.

    Without `record_exception`, an exception leaves no trace in the span: neither text nor status.

    `traceparent` is the W3C Trace Context of the request that caused the work. Without a current
    span, it is the parent. With a current span of another trace, the new span links to it. `link`
    is the W3C Trace Context of an earlier span that the new span links to.
    """
    if _tracer is None:
        return NO_SPAN
    current = trace.get_current_span().get_span_context()
    cause, linked = _span_context(traceparent), _span_context(link)
    context, links = None, [Link(linked)] if linked else []
    if cause and not current.is_valid:
        context = trace.set_span_in_context(trace.NonRecordingSpan(cause))
    elif cause and current.trace_id != cause.trace_id:
        links.append(Link(cause))
    return _tracer.start_as_current_span(
        name,
        context,
        kind,
        attributes,
        links,
        record_exception=record_exception,
        set_status_on_exception=record_exception,
    )


def continue_trace(traceparent: str | None) -> AbstractContextManager[None]:
    """Makes this W3C Trace Context, if there is one, the current one inside the block."""
    return _attach(traceparent) if traceparent else _NO_CONTEXT


@contextmanager
def _attach(traceparent: str) -> Iterator[None]:
    token = attach(_w3c.extract({_HEADER: traceparent}))
    try:
        yield
    finally:
        detach(token)


def parse_traceparent(text: str) -> str | None:
    """Returns the text if it is a well-formed W3C `traceparent`, else None."""
    return text if _TRACEPARENT.fullmatch(text) else None


def current_traceparent() -> str | None:
    """Returns the current span as a W3C `traceparent`, or None while tracing is disabled."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get(_HEADER)


def _span_context(traceparent: str | None) -> SpanContext | None:
    """Returns the span that a W3C `traceparent` names, or None if it names no valid span."""
    if not traceparent:
        return None
    named = trace.get_current_span(_w3c.extract({_HEADER: traceparent})).get_span_context()
    return named if named.is_valid else None
