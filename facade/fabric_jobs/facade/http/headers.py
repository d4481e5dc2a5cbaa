"""The headers of a request, as they came."""

from collections.abc import Mapping
from typing import Any

from fabric_jobs.runtime.telemetry import tracing


def sent(scope: Mapping[str, Any], name: str) -> list[str]:
    """The values of the header of this name, in lower case; the server gives all names so.

    A map of all headers would cost a request more than looking through them does.
    """
    wanted = name.encode()
    return [value.decode("latin-1") for header, value in scope["headers"] if header == wanted]


def traceparent_of(scope: Mapping[str, Any]) -> str | None:
    """The W3C Trace Context that the request belongs to; none where it names none of that form."""
    values = sent(scope, "traceparent")
    return tracing.checked(values[0]) if values else None
