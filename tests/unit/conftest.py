"""What the unit tests of several rooms stand on."""

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fabric_jobs.facade import metrics
from fabric_jobs.runtime.telemetry import tracing


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Tracing is on, and what ends is here."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[dict[str, str]]]:
    """From now on, the labels of each measurement of a facade's histogram, by its name."""

    def measured(name: str) -> list[dict[str, str]]:
        seen: list[dict[str, str]] = []

        class Recorder:
            def record(self, seconds: float, labels: dict[str, str]) -> None:
                assert seconds > 0
                seen.append(labels)

        monkeypatch.setattr(metrics, name, Recorder())
        return seen

    return measured
