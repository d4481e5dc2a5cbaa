"""Installs the providers of OpenTelemetry's SDK. Only this module needs the extra `otel`."""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from opentelemetry import metrics as metrics_api
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from fabric_jobs.runtime.settings import SettingsError
from fabric_jobs.runtime.telemetry import histograms
from fabric_jobs.runtime.telemetry.histograms import HistogramPoint, HistogramValues


class _HistogramReader(MetricReader):
    """Adds the program's own histograms to what the SDK has collected.

    The SDK calls it if it has collected anything: each program has counters.
    """

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        resource_metrics, *others = metrics_data.resource_metrics
        with_ours = replace(
            resource_metrics,
            scope_metrics=[*resource_metrics.scope_metrics, *_collect_histograms()],
        )
        data = MetricsData([with_ours, *others])
        super()._receive_metrics(data, timeout_millis, **kwargs)  # type: ignore[safe-super]


class _PrometheusReader(_HistogramReader, PrometheusMetricReader):
    """Serves metrics to a scrape."""


class _PeriodicReader(_HistogramReader, PeriodicExportingMetricReader):
    """Exports metrics every few seconds."""


def _collect_histograms() -> list[ScopeMetrics]:
    now_ns = time.time_ns()
    return [
        ScopeMetrics(
            InstrumentationScope(values.scope),
            [
                Metric(
                    values.name,
                    values.description,
                    "s",
                    Histogram(
                        [_to_data_point(values, point, now_ns) for point in values.read()],
                        AggregationTemporality.CUMULATIVE,
                    ),
                )
            ],
            "",
        )
        for values in histograms.declared
    ]


def _to_data_point(
    values: HistogramValues, point: HistogramPoint, now_ns: int
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=point.labels,
        start_time_unix_nano=values.start_ns,
        time_unix_nano=now_ns,
        count=sum(point.counts),
        sum=point.sum,
        bucket_counts=point.counts,
        explicit_bounds=values.bounds,
        min=point.least,
        max=point.most,
    )


def start(service: str, *, traces: bool, metrics: bool, prometheus: bool) -> Callable[[], None]:
    """Installs the global providers. Returns a function that exports what is left and stops them.

    `traces` and `metrics` are exported by OTLP; `prometheus` makes metrics available to a scrape.
    Raises `SettingsError` for a bad variable of OpenTelemetry.
    """
    resource = Resource.create(
        {
            "service.name": service,
            "service.version": version("fabric-jobs"),
            "service.instance.id": str(uuid.uuid4()),
            **OTELResourceDetector().detect().attributes,
        }
    )
    readers: list[MetricReader] = []
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    try:
        if traces:
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(tracers)
        if metrics:
            readers.append(_PeriodicReader(OTLPMetricExporter()))
    except ValueError as error:
        raise SettingsError(f"A variable of OpenTelemetry can't be used: {error}") from error
    if prometheus:
        # With scope info, every series would have one more label, always with the same value.
        readers.append(_PrometheusReader(scope_info_enabled=False))
    meters = MeterProvider(
        readers,
        resource,
        shutdown_on_exit=False,
        # Prometheus does not show exemplars here, and collecting them slows every measurement.
        exemplar_filter=AlwaysOffExemplarFilter(),
    )
    metrics_api.set_meter_provider(meters)

    def stop() -> None:
        tracers.shutdown()
        meters.shutdown()

    return stop
