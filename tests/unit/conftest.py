"""Fixtures of unit tests in several rooms."""

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fabric_jobs.facade import metrics
from fabric_jobs.runtime.telemetry import tracing


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Switch tracing on; the exporter has each span that ends."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[dict[str, str]]]:
    """A function that records the labels of each measurement of a facade's histogram by name."""

    def measured(name: str) -> list[dict[str, str]]:
        seen: list[dict[str, str]] = []
        names = getattr(metrics, name).labels

        class Recorder:
            def record(self, seconds: float, *labels: str) -> None:
                assert seconds > 0
                seen.append(dict(zip(names, labels, strict=True)))

        monkeypatch.setattr(metrics, name, Recorder())
        return seen

    return measured
