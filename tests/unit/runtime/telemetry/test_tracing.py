"""The parents and links of spans, and the functions while tracing is disabled."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from fabric_jobs.runtime.telemetry import tracing
from tests.support.spans import only_span

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = f"00-{TRACE_ID}-{SPAN_ID}-01"
OTHER = f"00-{'1' * 32}-{'2' * 16}-01"


def parent_id(span: ReadableSpan) -> str | None:
    """Returns the id of the span's parent."""
    return trace.format_span_id(span.parent.span_id) if span.parent else None


def link_ids(span: ReadableSpan) -> list[str]:
    """Returns the ids of the spans that the span links to."""
    return [trace.format_span_id(link.context.span_id) for link in span.links]


def test_span_without_a_current_span_is_a_child_of_the_given_context(
    exported: InMemorySpanExporter,
) -> None:
    """The context may come over HTTP, gRPC or Kafka."""
    with tracing.span("append", SpanKind.PRODUCER, traceparent=REQUEST):
        pass

    assert (parent_id(only_span(exported)), link_ids(only_span(exported))) == (SPAN_ID, [])


def test_span_inside_a_span_of_another_trace_is_its_child_and_links_to_the_given_context(
    exported: InMemorySpanExporter,
) -> None:
    """For example, the append of a cancel belongs to the cancel's trace and links to the job's."""
    with (
        tracing.continue_trace(OTHER),
        tracing.span("append", SpanKind.PRODUCER, traceparent=REQUEST),
    ):
        pass

    assert (parent_id(only_span(exported)), link_ids(only_span(exported))) == ("2" * 16, [SPAN_ID])


def test_span_inside_a_span_of_the_same_trace_has_no_link(exported: InMemorySpanExporter) -> None:
    """For example, the append of a create is inside its request."""
    with (
        tracing.continue_trace(REQUEST),
        tracing.span("append", SpanKind.PRODUCER, traceparent=REQUEST),
    ):
        pass

    assert (parent_id(only_span(exported)), link_ids(only_span(exported))) == (SPAN_ID, [])


def test_span_with_a_link_links_to_it(exported: InMemorySpanExporter) -> None:
    """For example, a retry links to the attempt before it."""
    with tracing.continue_trace(REQUEST), tracing.span("run", SpanKind.CONSUMER, link=OTHER):
        pass

    assert (parent_id(only_span(exported)), link_ids(only_span(exported))) == (SPAN_ID, ["2" * 16])


@pytest.mark.parametrize("text", [None, "", "no context", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_span_with_an_invalid_context_starts_a_new_trace(
    exported: InMemorySpanExporter, text: str | None
) -> None:
    """A malformed context from outside causes no error."""
    with (
        tracing.continue_trace(text),
        tracing.span("run", SpanKind.CONSUMER, traceparent=text, link=text),
    ):
        pass

    assert (parent_id(only_span(exported)), link_ids(only_span(exported))) == (None, [])


def test_current_traceparent_inside_a_span_names_that_span(exported: InMemorySpanExporter) -> None:
    """The next program's spans become its children."""
    with tracing.span("claim", SpanKind.CLIENT, traceparent=REQUEST):
        written = tracing.current_traceparent()
    span = only_span(exported)

    assert written == f"00-{TRACE_ID}-{trace.format_span_id(span.context.span_id)}-01"


def test_span_of_a_trace_that_is_not_sampled_is_not_exported(
    exported: InMemorySpanExporter,
) -> None:
    """Fabric decides about sampling. The next program gets the same decision."""
    with tracing.span("claim", SpanKind.CLIENT, traceparent=f"{REQUEST[:-2]}00"):
        written = tracing.current_traceparent()

    assert exported.get_finished_spans() == ()
    assert written
    assert written.startswith(f"00-{TRACE_ID}-")
    assert written.endswith("-00")


def test_tracing_while_disabled_creates_no_object() -> None:
    """One shared object stands for every span and for a missing context."""
    assert not tracing.is_enabled()
    assert tracing.span("a", SpanKind.CLIENT, traceparent=REQUEST) is tracing.span(
        "b", SpanKind.SERVER
    )
    assert tracing.continue_trace(None) is tracing.continue_trace("")
    assert tracing.current_traceparent() is None


def test_continue_trace_while_tracing_is_disabled_passes_the_context_on() -> None:
    """A service that the handler calls may be traced."""
    with tracing.continue_trace(REQUEST):
        here = trace.get_current_span().get_span_context()

    assert trace.format_trace_id(here.trace_id) == TRACE_ID


@pytest.mark.parametrize(
    ("text", "found"),
    [(REQUEST, REQUEST), ("", None), (REQUEST.upper(), None), (f"{REQUEST}-more", None)],
)
def test_parse_traceparent_accepts_the_standard_form_only(text: str, found: str | None) -> None:
    """Events hold well-formed contexts only."""
    assert tracing.parse_traceparent(text) == found
