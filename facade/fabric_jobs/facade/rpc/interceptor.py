"""The base of the server's interceptors: it runs code around each call of the facade's services.

One of them maps the errors of every method.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, ClassVar

import grpc

from fabric_jobs.facade.rpc.errors import Context, map_errors
from fabric_jobs.status.v1 import job_status_pb2, replica_pb2

SERVICE = job_status_pb2.DESCRIPTOR.services_by_name["JobStatusService"].full_name
REPLICA_SERVICE = replica_pb2.DESCRIPTOR.services_by_name["ReplicaService"].full_name
#: The facade's own services. The standard ones, health and reflection, pass the interceptors.
OWN_SERVICES = frozenset({SERVICE, REPLICA_SERVICE})

Handler = Any  # gRPC's types describe the handlers of the blocking server only


def split_method(details: grpc.HandlerCallDetails) -> tuple[str, str]:
    """Returns the full name of the called service, and the name of its method."""
    service, _, method = details.method.removeprefix("/").partition("/")
    return service, method


class CallInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Runs `around` around each call. Calls of the standard services pass unchanged."""

    #: Whether `around` runs around streams too.
    wraps_streams: ClassVar[bool]

    @abstractmethod
    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """Returns the block in which a call of this method of the facade's services runs."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Returns the handler of the called method, wrapped; gRPC calls this."""
        handler = await continuation(handler_call_details)
        service, method = split_method(handler_call_details)
        if handler is None or service not in OWN_SERVICES:
            return handler
        if not handler.response_streaming:
            return self._wrap_unary(handler, method)
        return self._wrap_stream(handler, method) if self.wraps_streams else handler

    def _wrap_unary(self, handler: Handler, method: str) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            async with self.around(method, context):
                return await handler.unary_unary(request, context)

        codecs = (handler.request_deserializer, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(call, *codecs)

    def _wrap_stream(self, handler: Handler, method: str) -> Handler:
        call = handler.stream_stream or handler.unary_stream

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            around = self.around(method, context)
            try:
                async with around, aclosing(call(request, context)) as responses:
                    async for response in responses:
                        yield response
            except grpc.aio.AbortError as error:
                # gRPC ties the error to its call, so it stays until the garbage collector comes.
                # Without its frames, the messages of the stream do not stay with it.
                error.__context__ = None
                raise error.with_traceback(None) from None

        codecs = (handler.request_deserializer, handler.response_serializer)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, *codecs)
        return grpc.unary_stream_rpc_method_handler(stream, *codecs)


class ErrorInterceptor(CallInterceptor):
    """Ends a call of any method with the gRPC error of what the method raises."""

    wraps_streams = True

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """Returns the block that maps the errors."""
        return map_errors(context)
