"""What is asked of the spans that ended."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    """The one span that ended."""
    (span,) = exporter.get_finished_spans()
    return span
