"""An OpenTelemetry collector over HTTP that stores what programs send."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from msgspec import Struct
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


class Seen(Struct, frozen=True):
    """A span and the name of its program."""

    service: str
    span: Span

    @property
    def attributes(self) -> dict[str, str | int]:
        """The span's attributes."""
        return _values(self.span.attributes)

    def __str__(self) -> str:
        kind = Span.SpanKind.Name(self.span.kind).removeprefix("SPAN_KIND_")
        error = ": error" if self.span.status.code == Status.STATUS_CODE_ERROR else ""
        return f"{self.service} {kind} {self.span.name}{error}"


class Collector:
    """The spans and the names of metrics that were sent up to now."""

    def __init__(self, address: str) -> None:
        #: The variables that make a program send to this collector soon.
        self.environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        #: The bodies of the requests.
        self.bodies: list[bytes] = []
        self.spans: list[Seen] = []
        self.metrics: set[tuple[str, str]] = set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.05)

    def take(self, path: str, body: bytes) -> None:
        """Store the content of a request."""
        self.bodies.append(body)
        if path == "/v1/traces":
            for of_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = str(_values(of_spans.resource.attributes)["service.name"])
                self.spans += [
                    Seen(service, span) for scope in of_spans.scope_spans for span in scope.spans
                ]
        elif path == "/v1/metrics":
            for of_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                service = str(_values(of_metrics.resource.attributes)["service.name"])
                self.metrics |= {
                    (service, metric.name)
                    for scope in of_metrics.scope_metrics
                    for metric in scope.metrics
                }


def _values(attributes: Iterable[KeyValue]) -> dict[str, str | int]:
    return {
        one.key: one.value.int_value if one.value.HasField("int_value") else one.value.string_value
        for one in attributes
    }


@contextmanager
def run_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def tree(spans: list[Seen], within: bytes, depth: int = 0) -> Iterator[str]:
    """The spans below one, in the order of their starts, indented by depth."""
    names = {seen.span.span_id: seen.span.name for seen in spans}
    children = [seen for seen in spans if seen.span.parent_span_id == within]
    for seen in sorted(children, key=lambda one: one.span.start_time_unix_nano):
        linked = [f", linked to {names[link.span_id]}" for link in seen.span.links]
        yield "  " * depth + f"{seen}" + "".join(linked)
        yield from tree(spans, seen.span.span_id, depth + 1)
