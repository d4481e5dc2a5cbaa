"""Starts OpenTelemetry's SDK if its own environment variables ask for an export by OTLP."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fabric_jobs.runtime.settings import SettingsError

#: Values of `OTEL_<signal>_EXPORTER` without an export by OTLP. `/metrics` needs no variable.
_NOT_EXPORTED = {"TRACES": {"none"}, "METRICS": {"none", "prometheus"}}
_PROTOCOL = "http/protobuf"
#: Seconds that the export of the last spans and metrics may take when the program ends.
FLUSH_TIMEOUT_S = 3.0


@contextmanager
def export_telemetry(
    service: str, environ: Mapping[str, str], *, prometheus: bool
) -> Iterator[None]:
    """Exports traces and metrics inside the block, as the environment asks.

    `service` is the service name unless the environment sets another. `prometheus` says whether the
    program also serves metrics to Prometheus. Raises `SettingsError`.
    """
    exported = exported_signals(environ)
    if not (exported or prometheus):
        yield
        return
    try:
        from fabric_jobs.runtime.telemetry import opentelemetry_sdk
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The module {error.name} is missing, and metrics and traces need it: pip install "
            "'fabric-jobs[otel]', or unset the variables that ask for metrics or traces."
        ) from error
    stop = opentelemetry_sdk.start(
        service, traces="TRACES" in exported, metrics="METRICS" in exported, prometheus=prometheus
    )
    try:
        yield
    finally:
        # A daemon thread, because an unreachable collector must not keep the program alive.
        flush = threading.Thread(target=stop, name="flush telemetry", daemon=True)
        flush.start()
        flush.join(FLUSH_TIMEOUT_S)


def exported_signals(environ: Mapping[str, str]) -> list[str]:
    """Returns the signals, of `TRACES` and `METRICS`, that the environment exports by OTLP.

    Raises `SettingsError` for a variable that asks for an unsupported exporter or protocol.
    """
    return [signal for signal in _NOT_EXPORTED if _is_exported(signal, environ)]


def _is_exported(signal: str, environ: Mapping[str, str]) -> bool:
    """Returns whether the environment names an OTLP endpoint or exporter for the signal."""

    def find(name: str) -> tuple[str, str]:
        """Returns the variable that is set and its value; the signal's own variable wins."""
        names = (f"OTEL_EXPORTER_OTLP_{signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}")
        return next(((one, environ[one]) for one in names if environ.get(one)), ("", ""))

    variable = f"OTEL_{signal}_EXPORTER"
    exporter = environ.get(variable, "")
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or exporter in _NOT_EXPORTED[signal]:
        return False
    if exporter not in ("", "otlp"):
        raise SettingsError(
            f"{variable}={exporter}: the only supported exporter is otlp; set it to otlp or none."
        )
    if not (exporter or find("ENDPOINT")[1]):
        return False
    variable, protocol = find("PROTOCOL")
    if protocol not in ("", _PROTOCOL):
        raise SettingsError(
            f"{variable}={protocol}: the only supported protocol is {_PROTOCOL}, which collectors "
            "accept at port 4318. Unset the variable."
        )
    return True
