"""The providers of OpenTelemetry's SDK. It comes with the extra `otel`, as nothing else does."""

import uuid
from collections.abc import Callable
from importlib.metadata import version

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from fabric_jobs.runtime.settings import SettingsError


def start(service: str, *, traced: bool, pushed: bool, scraped: bool) -> Callable[[], None]:
    """Sets the global providers, and returns what sends the last of theirs.

    Raises `SettingsError`.
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
        if traced:
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(tracers)
        if pushed:
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    except ValueError as error:
        raise SettingsError(f"A variable of OpenTelemetry can't be used: {error}") from error
    if scraped:
        # The scope would be one more label of every series, with one value.
        readers.append(PrometheusMetricReader(scope_info_enabled=False))
    meters = MeterProvider(
        readers,
        resource,
        shutdown_on_exit=False,
        # Prometheus would show no exemplars, and to look for one costs at each measurement.
        exemplar_filter=AlwaysOffExemplarFilter(),
    )
    metrics.set_meter_provider(meters)

    def stop() -> None:
        tracers.shutdown()
        meters.shutdown()

    return stop
