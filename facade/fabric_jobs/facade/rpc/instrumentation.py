"""Each call with one answer measured by its method; where tracing is on, it is a span too.

Streams are left out: what goes through them is measured where it is done.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from opentelemetry.trace import SpanKind, StatusCode

from fabric_jobs.facade import metrics
from fabric_jobs.facade.rpc.authorization import SERVICE, Handler, method_of
from fabric_jobs.facade.rpc.errors import Context
from fabric_jobs.runtime.telemetry import tracing

#: What OpenTelemetry calls an error of a server's span; any other is the caller's own.
_ERRORS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class InstrumentationInterceptor(grpc.aio.ServerInterceptor):
    """Around everything else, but for the standard services."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler, observed."""
        handler = await continuation(handler_call_details)
        method = method_of(handler_call_details)
        if method is None or handler is None or handler.unary_unary is None:
            return handler
        metadata = handler_call_details.invocation_metadata
        traceparent = next((str(value) for name, value in metadata if name == "traceparent"), None)

        async def call(request: Any, context: Context) -> Any:
            begun = time.perf_counter()
            response, aborted, code = None, None, grpc.StatusCode.UNKNOWN
            attributes = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": method}
            try:
                with tracing.span(
                    f"{SERVICE}/{method}", SpanKind.SERVER, attributes, of=traceparent
                ) as span:
                    try:
                        response = await handler.unary_unary(request, context)
                        code = grpc.StatusCode.OK
                    except grpc.aio.AbortError as error:
                        # An answer like any other: within the block, the span would be an error.
                        aborted, code = error, context.code()
                    span.set_attribute("rpc.grpc.status_code", code.value[0])
                    if code in _ERRORS:
                        span.set_status(StatusCode.ERROR)
            finally:
                labels = {"method": method, "code": code.name}
                metrics.RPC_SECONDS.record(time.perf_counter() - begun, labels)
            if aborted:
                raise aborted
            return response

        codecs = (handler.request_deserializer, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(call, *codecs)
