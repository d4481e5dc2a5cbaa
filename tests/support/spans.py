"""Access to the spans that a test exported."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def only_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    """Returns the one span that has ended."""
    (span,) = exporter.get_finished_spans()
    return span
