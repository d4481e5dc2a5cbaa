"""OpenTelemetry's SDK, switched on by its own environment variables; off without them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fabric_jobs.runtime.settings import SettingsError

#: What else than `otlp` may be named: then nothing is sent. `/metrics` needs no variable.
_UNSENT = {"TRACES": {"none"}, "METRICS": {"none", "prometheus"}}
_PROTOCOL = "http/protobuf"
#: Seconds that the last spans and metrics may take, when the program ends.
FLUSH_S = 3.0


@contextmanager
def running(service: str, environ: Mapping[str, str], *, scraped: bool) -> Iterator[None]:
    """In the block, what the environment asks for; `scraped` is whether Prometheus will ask, too.

    `service` is the name unless the environment has another. Raises `SettingsError`.
    """
    sent = signals(environ)
    if not (sent or scraped):
        yield
        return
    try:
        from fabric_jobs.runtime.telemetry import opentelemetry_sdk
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"There is no {error.name}, without which there are no metrics and no traces: pip "
            "install 'fabric-jobs[otel]', or leave the variables unset that ask for them."
        ) from error
    stop = opentelemetry_sdk.start(
        service, traced="TRACES" in sent, pushed="METRICS" in sent, scraped=scraped
    )
    try:
        yield
    finally:
        # In a thread that the process does not wait for: a collector that is away must not hold it.
        flushing = threading.Thread(target=stop, name="flush telemetry", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)


def signals(environ: Mapping[str, str]) -> list[str]:
    """What the environment says is to go out by OTLP. Raises `SettingsError`."""
    return [signal for signal in _UNSENT if _is_sent(signal, environ)]


def _is_sent(signal: str, environ: Mapping[str, str]) -> bool:
    """Whether a signal goes out by OTLP: a place to send it to is named, or that it is sent."""

    def said(name: str) -> tuple[str, str]:
        """A variable and its value; that of the signal's own before the common one."""
        names = (f"OTEL_EXPORTER_OTLP_{signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}")
        return next(((one, environ[one]) for one in names if environ.get(one)), ("", ""))

    variable = f"OTEL_{signal}_EXPORTER"
    exporter = environ.get(variable, "")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter in _UNSENT[signal]:
        return False
    if exporter not in ("", "otlp"):
        raise SettingsError(f"{variable}={exporter}: only otlp can be sent; or set it to none.")
    if not (exporter or said("ENDPOINT")[1]):
        return False
    variable, protocol = said("PROTOCOL")
    if protocol not in ("", _PROTOCOL):
        raise SettingsError(
            f"{variable}={protocol}: only {_PROTOCOL} is spoken, which collectors take at port "
            "4318. Unset it."
        )
    return True
