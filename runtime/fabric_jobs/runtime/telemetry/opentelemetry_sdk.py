"""Installs the providers of OpenTelemetry's SDK. Only this module needs the extra `otel`."""

import uuid
from collections.abc import Callable
from importlib.metadata import version

from opentelemetry import metrics as metrics_api
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from fabric_jobs.runtime.settings import SettingsError


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
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    except ValueError as error:
        raise SettingsError(f"A variable of OpenTelemetry can't be used: {error}") from error
    if prometheus:
        # With scope info, every series would have one more label, always with the same value.
        readers.append(PrometheusMetricReader(scope_info_enabled=False))
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
