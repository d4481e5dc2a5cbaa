"""Spans, where tracing is on: what is done for a job is one trace, whichever program does it.

Where it is off, nothing here makes an object, and the context of a job's request passes through.
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
_FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_w3c = TraceContextTextMapPropagator()
_tracer: Tracer | None = None
#: What stands for a span that is not made; what is said of it is lost.
NO_SPAN: AbstractContextManager[Span] = nullcontext(trace.INVALID_SPAN)
_NOTHING: AbstractContextManager[None] = nullcontext()


def turn_on() -> None:
    """Makes spans from now on, if a provider is set that takes them."""
    global _tracer
    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider):
        _tracer = provider.get_tracer("fabric_jobs")


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str,
    kind: SpanKind,
    attributes: "Mapping[str, AttributeValue] | None" = None,
    *,
    of: str | None = None,
    after: str | None = None,
) -> AbstractContextManager[Span]:
    """A span within the current one, and itself the current one until the block ends.

    `of` is the W3C Trace Context of what asked for it: its parent where no span is current, and
    linked to it where the current one is of another trace. So is what it comes `after`.
    """
    if _tracer is None:
        return NO_SPAN
    here = trace.get_current_span().get_span_context()
    asked, earlier = _context_of(of), _context_of(after)
    context, links = None, [Link(earlier)] if earlier else []
    if asked and not here.is_valid:
        context = trace.set_span_in_context(trace.NonRecordingSpan(asked))
    elif asked and here.trace_id != asked.trace_id:
        links.append(Link(asked))
    return _tracer.start_as_current_span(name, context, kind, attributes, links)


def continued(traceparent: str | None) -> AbstractContextManager[None]:
    """What is done in the block belongs to this W3C Trace Context, where there is one."""
    return _continued(traceparent) if traceparent else _NOTHING


@contextmanager
def _continued(traceparent: str) -> Iterator[None]:
    token = attach(_w3c.extract({_HEADER: traceparent}))
    try:
        yield
    finally:
        detach(token)


def checked(text: str) -> str | None:
    """A W3C Trace Context that came from outside; none where it is not of that form."""
    return text if _FORM.fullmatch(text) else None


def current() -> str | None:
    """The current span as W3C Trace Context; none where tracing is off."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get(_HEADER)


def _context_of(traceparent: str | None) -> SpanContext | None:
    """The span that a W3C Trace Context names; none where it names none."""
    if not traceparent:
        return None
    named = trace.get_current_span(_w3c.extract({_HEADER: traceparent})).get_span_context()
    return named if named.is_valid else None
