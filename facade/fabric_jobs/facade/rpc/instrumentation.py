"""Measures each unary call by its method and code, and traces it if tracing is enabled.

Streams are not measured as a whole: their entries are measured where they are handled.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from opentelemetry.trace import SpanKind, StatusCode

from fabric_jobs.facade import metrics
from fabric_jobs.facade.rpc.errors import Context
from fabric_jobs.facade.rpc.interceptor import SERVICE, CallInterceptor
from fabric_jobs.runtime.telemetry import tracing

#: The codes that make a server's span an error, by OpenTelemetry's conventions for gRPC. Any other
#: code means that the caller made the error.
_ERRORS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class InstrumentationInterceptor(CallInterceptor):
    """Measures and traces the unary calls of `JobStatusService`."""

    wraps_streams = False

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Measures the call, inside a span."""
        start = time.perf_counter()
        aborted, code = None, grpc.StatusCode.UNKNOWN
        attributes = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": method}
        try:
            with tracing.span(
                f"{SERVICE}/{method}",
                SpanKind.SERVER,
                attributes,
                traceparent=_traceparent_of(context),
            ) as span:
                try:
                    yield
                    code = grpc.StatusCode.OK
                except grpc.aio.AbortError as error:
                    # Raised again after the span, because an exception inside would fail the span.
                    aborted, code = error, context.code()
                span.set_attribute("rpc.grpc.status_code", code.value[0])
                if code in _ERRORS:
                    span.set_status(StatusCode.ERROR)
        finally:
            metrics.RPC_SECONDS.record(time.perf_counter() - start, method, code.name)
        if aborted:
            raise aborted


def _traceparent_of(context: Context) -> str | None:
    metadata = context.invocation_metadata() or ()
    return next((str(value) for name, value in metadata if name == "traceparent"), None)
