"""When OpenTelemetry's SDK is started, by its own variables."""

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
TRACES = {"traced": True, "pushed": False, "scraped": False}
METRICS = {"traced": False, "pushed": True, "scraped": False}
BOTH = {"traced": True, "pushed": True, "scraped": False}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bool]]:
    """What was asked of the SDK."""
    asked: list[dict[str, bool]] = []

    def start(service: str, **what: bool) -> Callable[[], None]:
        asked.append(what)
        return lambda: None

    monkeypatch.setattr(opentelemetry_sdk, "start", start)
    return asked


@pytest.mark.parametrize(
    ("environ", "asked"),
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
def test_a_signal_is_sent_where_a_variable_of_opentelemetry_says_so(
    started: list[dict[str, bool]], environ: dict[str, str], asked: list[dict[str, bool]]
) -> None:
    """And nothing is started without one."""
    with providers.running("a program", environ, scraped=False):
        assert started == asked


def test_what_prometheus_asks_needs_no_variable(started: list[dict[str, bool]]) -> None:
    """The SDK is started, and nothing is sent."""
    with providers.running("a program", {}, scraped=True):
        assert started == [{"traced": False, "pushed": False, "scraped": True}]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: only otlp"),
        ({"OTEL_METRICS_EXPORTER": "console"}, "OTEL_METRICS_EXPORTER=console: only otlp"),
        (
            {ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/protobuf",
        ),
        (
            {ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json: only http/protobuf",
        ),
    ],
)
def test_what_can_t_be_done_is_refused(
    started: list[dict[str, bool]], environ: dict[str, str], message: str
) -> None:
    """The variable is named, and what to do."""
    with (
        pytest.raises(SettingsError, match=message),
        providers.running("a program", environ, scraped=True),
    ):
        pass
    assert started == []


def test_a_collector_that_is_away_does_not_hold_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be sent in time is lost, and the program ends."""
    away = threading.Event()
    monkeypatch.setattr(providers, "FLUSH_S", 0.01)
    monkeypatch.setattr(opentelemetry_sdk, "start", lambda *_, **__: away.wait)
    with providers.running("a program", {}, scraped=True):
        pass

    (flushing,) = (one for one in threading.enumerate() if one.name == "flush telemetry")
    assert flushing.daemon
    away.set()
    flushing.join()


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_program_without_the_sdk_says_what_to_install() -> None:
    """Where it is asked for; else it is not missed."""
    without = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from fabric_jobs.runtime.telemetry import providers\n"
    )
    asked = f"with providers.running('x', {{'{ENDPOINT}': 'http://x:4318'}}, scraped=False): pass"
    found = run(without + asked)

    assert "SettingsError: There is no opentelemetry" in found.stderr
    assert "pip install 'fabric-jobs[otel]'" in found.stderr
    assert run(without + "with providers.running('x', {}, scraped=False): pass").returncode == 0


def test_a_bad_variable_of_the_sdk_is_named() -> None:
    """In one line, as any other setting's."""
    program = (
        "import os; from fabric_jobs.runtime.telemetry import providers\n"
        "with providers.running('x', os.environ, scraped=False): pass"
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
def test_the_sdk_is_loaded_by_none_that_may_lack_it(module: str) -> None:
    """A light executor has OpenTelemetry's API and no more."""
    found = run(f"import {module}, sys; print(*sys.modules)")
    loaded: set[Any] = set(found.stdout.split())

    assert module in loaded
    assert loaded & {"opentelemetry.sdk", "prometheus_client", "requests"} == set()
