"""Histograms: what is measured, and that a scrape and a push of OpenTelemetry have it."""

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from fabric_jobs.runtime.telemetry.histograms import HistogramPoint, HistogramValues
from tests.support.paths import ROOT

MEASURE = """
from fabric_jobs.runtime.telemetry import opentelemetry_sdk
from fabric_jobs.runtime.telemetry.metrics import MetricRegistry
registry = MetricRegistry("a scope")
registry.counter("things_total", "Things.").add(1)
seconds = registry.histogram("waited_seconds", "Waits.", "kind", bounds=(0.1, 1))
stop = opentelemetry_sdk.start("a program", traces=False, metrics={push}, prometheus={scrape})
for number in (0.05, 0.1, 0.5, 7):
    seconds.record(number, "a")
seconds.record(2, "b")
"""
SCRAPE = MEASURE + "import prometheus_client; print(prometheus_client.generate_latest().decode())"
PUSH = MEASURE + "stop()"


def histogram() -> HistogramValues:
    """An empty histogram with two bounds and one label."""
    return HistogramValues("scope", "waited_seconds", "Waits.", ("kind",), (0.1, 1))


def test_histogram_counts_each_measurement_in_the_bucket_of_its_bound() -> None:
    """A measurement that equals a bound lies below it, as in OpenTelemetry and Prometheus."""
    values = histogram()
    for seconds in (0.0625, 0.0625, 0.5, 7):
        values.record(seconds, "a")
    values.record(2, "b")

    assert [*values.read()] == [
        HistogramPoint({"kind": "a"}, [2, 1, 1], 7.625, 0.0625, 7),
        HistogramPoint({"kind": "b"}, [0, 0, 1], 2, 2, 2),
    ]


def test_histogram_read_does_not_change_with_later_measurements() -> None:
    """OpenTelemetry's thread uses it while the program measures on."""
    values = histogram()
    values.record(1, "a")
    (point,) = values.read()
    values.record(1, "a")

    assert sum(point.counts) == 1


def run(code: str, **environment: str) -> str:
    """Runs a program, so that its global providers harm no other test."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_scrape_has_the_histograms() -> None:
    """Under the declared name, with the labels and with cumulative buckets."""
    text = run(SCRAPE.format(push=False, scrape=True))

    assert "# HELP waited_seconds Waits." in text
    assert "# TYPE waited_seconds histogram" in text
    for line in (
        'waited_seconds_bucket{kind="a",le="0.1"} 2.0',
        'waited_seconds_bucket{kind="a",le="1"} 3.0',
        'waited_seconds_bucket{kind="a",le="+Inf"} 4.0',
        'waited_seconds_count{kind="a"} 4.0',
        'waited_seconds_sum{kind="b"} 2.0',
    ):
        assert line in text, text


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a collector, and the bodies that it got."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def test_push_has_the_histograms(collector: tuple[str, list[bytes]]) -> None:
    """They are cumulative since the program's start."""
    address, bodies = collector
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    run(PUSH.format(push=True, scrape=False), **settings)
    (resource,) = ExportMetricsServiceRequest.FromString(bodies[-1]).resource_metrics
    (found,) = (
        metric
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (scope.scope.name, metric.name) == ("a scope", "waited_seconds")
    )
    point = {one.attributes[0].value.string_value: one for one in found.histogram.data_points}["a"]

    assert (found.name, found.unit) == ("waited_seconds", "s")
    assert ([*point.bucket_counts], [*point.explicit_bounds]) == ([2, 1, 1], [0.1, 1])
    assert (point.count, point.min, point.max) == (4, 0.05, 7)
    assert point.start_time_unix_nano <= point.time_unix_nano <= time.time_ns()
