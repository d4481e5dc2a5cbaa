"""When OpenTelemetry's SDK is started, by its own environment variables."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fabric_jobs.runtime.settings import SettingsError
from fabric_jobs.runtime.telemetry import opentelemetry_sdk, providers
from tests.support.paths import ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = {"traces": True, "metrics": False, "prometheus": False}
METRICS = {"traces": False, "metrics": True, "prometheus": False}
BOTH = {"traces": True, "metrics": True, "prometheus": False}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bool]]:
    """Replaces the SDK. Returns the arguments of each start."""
    starts: list[dict[str, bool]] = []

    def start(service: str, **signals: bool) -> Callable[[], None]:
        starts.append(signals)
        return lambda: None

    monkeypatch.setattr(opentelemetry_sdk, "start", start)
    return starts


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({ENDPOINT: ""}, []),
        ({"OTEL_SERVICE_NAME": "mine"}, []),
        ({ENDPOINT: "http://localhost:4318"}, [BOTH]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, [TRACES]),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:4318/v1/metrics"}, [METRICS]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [TRACES]),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, [METRICS]),
        ({ENDPOINT: "http://localhost:4318", "OTEL_METRICS_EXPORTER": "none"}, [TRACES]),
        ({ENDPOINT: "http://localhost:4318", "OTEL_METRICS_EXPORTER": "prometheus"}, [TRACES]),
        ({ENDPOINT: "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, [METRICS]),
        ({ENDPOINT: "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, []),
        ({ENDPOINT: "http://x:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, [BOTH]),
    ],
)
def test_export_telemetry_starts_the_sdk_for_the_signals_that_variables_ask_for(
    started: list[dict[str, bool]], environ: dict[str, str], expected: list[dict[str, bool]]
) -> None:
    """Without such a variable, the SDK is not started."""
    with providers.export_telemetry("a program", environ, prometheus=False):
        assert started == expected


def test_export_telemetry_for_prometheus_starts_the_sdk_without_a_variable(
    started: list[dict[str, bool]],
) -> None:
    """Nothing is exported by OTLP."""
    with providers.export_telemetry("a program", {}, prometheus=True):
        assert started == [{"traces": False, "metrics": False, "prometheus": True}]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER=zipkin: the only supported exporter is otlp",
        ),
        (
            {"OTEL_METRICS_EXPORTER": "console"},
            "OTEL_METRICS_EXPORTER=console: the only supported exporter is otlp",
        ),
        (
            {ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: the only supported protocol is http/protobuf",
        ),
        (
            {ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json: the only supported protocol",
        ),
    ],
)
def test_export_telemetry_with_an_unsupported_exporter_or_protocol_raises_settings_error(
    started: list[dict[str, bool]], environ: dict[str, str], message: str
) -> None:
    """The message names the variable and what to do."""
    with (
        pytest.raises(SettingsError, match=message),
        providers.export_telemetry("a program", environ, prometheus=True),
    ):
        pass
    assert started == []


def test_export_telemetry_with_an_unreachable_collector_ends_within_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The spans and metrics that cannot be exported in time are lost."""
    unreachable = threading.Event()
    monkeypatch.setattr(providers, "FLUSH_TIMEOUT_S", 0.01)
    monkeypatch.setattr(opentelemetry_sdk, "start", lambda *_, **__: unreachable.wait)
    with providers.export_telemetry("a program", {}, prometheus=True):
        pass

    (flush,) = (one for one in threading.enumerate() if one.name == "flush telemetry")
    assert flush.daemon
    unreachable.set()
    flush.join()


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_export_telemetry_without_the_sdk_raises_error_that_names_the_extra() -> None:
    """If no variable asks for an export, the SDK is not needed."""
    without = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from fabric_jobs.runtime.telemetry import providers\n"
    )
    block = "with providers.export_telemetry('x', {}, prometheus=False): pass"
    exporting = block.replace("{}", f"{{'{ENDPOINT}': 'http://x:4318'}}")
    found = run(without + exporting)

    assert "SettingsError: The module opentelemetry.sdk" in found.stderr
    assert "pip install 'fabric-jobs[otel]'" in found.stderr
    assert run(without + block).returncode == 0


def test_export_telemetry_with_a_bad_variable_of_the_sdk_raises_settings_error() -> None:
    """The error has OpenTelemetry's reason."""
    program = (
        "import os; from fabric_jobs.runtime.telemetry import providers\n"
        "with providers.export_telemetry('x', os.environ, prometheus=False): pass"
    )
    found = run(program, **{ENDPOINT: "http://x:4318", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"})

    assert "SettingsError: A variable of OpenTelemetry can't be used" in found.stderr


@pytest.mark.parametrize(
    "module",
    [
        "fabric_jobs.executor",
        "fabric_jobs.executor.service",
        "fabric_jobs.runtime.telemetry.providers",
    ],
)
def test_module_that_works_without_the_sdk_does_not_load_it(module: str) -> None:
    """The base install of an executor has OpenTelemetry's API only."""
    found = run(f"import {module}, sys; print(*sys.modules)")
    loaded: set[Any] = set(found.stdout.split())

    assert module in loaded
    assert loaded & {"opentelemetry.sdk", "prometheus_client", "requests"} == set()
