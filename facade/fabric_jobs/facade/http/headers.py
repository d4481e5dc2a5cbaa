"""The headers of a request."""

from collections.abc import Mapping
from typing import Any

from fabric_jobs.runtime.telemetry import tracing


def header_values(scope: Mapping[str, Any], name: str) -> list[str]:
    """The values of a header, by its lower-case name, in the order in which they came.

    It searches the list of headers, because a map of all headers would cost each request more.
    """
    wanted = name.encode()
    return [value.decode("latin-1") for header, value in scope["headers"] if header == wanted]


def traceparent_of(scope: Mapping[str, Any]) -> str | None:
    """The request's W3C Trace Context; None if it has none, or a malformed one."""
    values = header_values(scope, "traceparent")
    return tracing.parse_traceparent(values[0]) if values else None
