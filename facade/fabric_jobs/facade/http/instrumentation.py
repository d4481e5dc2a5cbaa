"""Measures each HTTP request by its operation, and makes it a span if tracing is on."""

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import Span, SpanKind, StatusCode

from fabric_jobs.facade import metrics
from fabric_jobs.facade.http.headers import traceparent_of
from fabric_jobs.facade.http.probes import PROBES
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.runtime.telemetry.logs import bound_ids

#: The `operation` label of a request that reached none of Fabric's operations.
NO_OPERATION = "none"


def instrument(app: ASGIApp) -> ASGIApp:
    """Wraps the whole application, so that unknown paths count too; probes are left out."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in PROBES:
            await app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        traceparent = traceparent_of(scope) if tracing.is_enabled() else None
        with tracing.span(scope["method"], SpanKind.SERVER, traceparent=traceparent) as span:
            await app(scope, receive, send_and_note_status)
            if tracing.is_enabled():
                _describe(span, scope, status)
        operation = getattr(scope.get("route_handler"), "operation_id", None) or NO_OPERATION
        metrics.REQUEST_SECONDS.record(time.perf_counter() - begun, operation, str(status))

    return call


def _describe(span: Span, scope: HTTPScope, status: int) -> None:
    """Sets OpenTelemetry's attributes of an HTTP server span.

    The span's name holds the route and no ids, so that spans of one route can be grouped.
    """
    route = scope.get("path_template")
    if route:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    span.set_attributes(
        {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "http.response.status_code": status,
            **{f"fabric.{name}": value for name, value in bound_ids().items()},
        }
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR)
