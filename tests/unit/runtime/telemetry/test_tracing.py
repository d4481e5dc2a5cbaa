"""Spans and their places, and that they cost nothing where tracing is off."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from fabric_jobs.runtime.telemetry import tracing
from tests.support.spans import only

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = f"00-{TRACE_ID}-{SPAN_ID}-01"
OTHER = f"00-{'1' * 32}-{'2' * 16}-01"


def parent(span: ReadableSpan) -> str | None:
    """The id of its parent."""
    return trace.format_span_id(span.parent.span_id) if span.parent else None


def links(span: ReadableSpan) -> list[str]:
    """The ids of the spans that it is linked to."""
    return [trace.format_span_id(link.context.span_id) for link in span.links]


def test_a_span_belongs_to_what_asked_for_it(exported: InMemorySpanExporter) -> None:
    """It is its parent, over whatever wire it came."""
    with tracing.span("append", SpanKind.PRODUCER, of=REQUEST):
        pass

    assert (parent(only(exported)), links(only(exported))) == (SPAN_ID, [])


def test_a_span_within_another_is_its_child_and_linked_to_another_trace(
    exported: InMemorySpanExporter,
) -> None:
    """As the append of a cancel, which stands in the cancel's trace."""
    with tracing.continued(OTHER), tracing.span("append", SpanKind.PRODUCER, of=REQUEST):
        pass

    assert (parent(only(exported)), links(only(exported))) == ("2" * 16, [SPAN_ID])


def test_a_span_of_the_same_trace_needs_no_link(exported: InMemorySpanExporter) -> None:
    """The append of a create stands within its request already."""
    with tracing.continued(REQUEST), tracing.span("append", SpanKind.PRODUCER, of=REQUEST):
        pass

    assert (parent(only(exported)), links(only(exported))) == (SPAN_ID, [])


def test_a_span_is_linked_to_what_it_comes_after(exported: InMemorySpanExporter) -> None:
    """As a retry to the attempt before."""
    with tracing.continued(REQUEST), tracing.span("run", SpanKind.CONSUMER, after=OTHER):
        pass

    assert (parent(only(exported)), links(only(exported))) == (SPAN_ID, ["2" * 16])


@pytest.mark.parametrize("text", [None, "", "no context", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_a_context_that_is_none_begins_a_trace(
    exported: InMemorySpanExporter, text: str | None
) -> None:
    """What comes from outside can break nothing."""
    with tracing.continued(text), tracing.span("run", SpanKind.CONSUMER, of=text, after=text):
        pass

    assert (parent(only(exported)), links(only(exported))) == (None, [])


def test_the_current_context_is_written_as_it_is_read(exported: InMemorySpanExporter) -> None:
    """The next program's spans belong to this one."""
    with tracing.span("claim", SpanKind.CLIENT, of=REQUEST):
        written = tracing.current()
    span = only(exported)

    assert written == f"00-{TRACE_ID}-{trace.format_span_id(span.context.span_id)}-01"


def test_a_trace_that_is_not_sampled_stays_so(exported: InMemorySpanExporter) -> None:
    """Fabric's word counts: nothing is exported, and the next program is told the same."""
    with tracing.span("claim", SpanKind.CLIENT, of=f"{REQUEST[:-2]}00"):
        written = tracing.current()

    assert exported.get_finished_spans() == ()
    assert written
    assert written.startswith(f"00-{TRACE_ID}-")
    assert written.endswith("-00")


def test_where_tracing_is_off_nothing_is_made() -> None:
    """One object stands for every span, and a request without a context leaves none."""
    assert not tracing.is_on()
    assert tracing.span("a", SpanKind.CLIENT, of=REQUEST) is tracing.span("b", SpanKind.SERVER)
    assert tracing.continued(None) is tracing.continued("")
    assert tracing.current() is None


def test_where_tracing_is_off_a_request_s_context_passes_through() -> None:
    """What a handler calls may be traced all the same."""
    with tracing.continued(REQUEST):
        here = trace.get_current_span().get_span_context()

    assert trace.format_trace_id(here.trace_id) == TRACE_ID


@pytest.mark.parametrize(
    ("text", "found"),
    [(REQUEST, REQUEST), ("", None), (REQUEST.upper(), None), (f"{REQUEST}-more", None)],
)
def test_only_a_context_of_the_standard_form_is_taken(text: str, found: str | None) -> None:
    """Nothing else may stand in events."""
    assert tracing.checked(text) == found
