"""Who may call what: the names in a client's certificate, and the roles that they have.

A name is a subject alternative name of the certificate or, where it has none, its common name.
The standard services, health and reflection, are for whoever has a certificate.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from enum import StrEnum
from typing import Any

import grpc

from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.runtime.settings import variable
from fabric_jobs.status.v1.job_status_pb2 import DESCRIPTOR

SERVICE = DESCRIPTOR.services_by_name["JobStatusService"].full_name

Handler = Any  # of gRPC's types, which know handlers of the blocking server only


class RpcRole(StrEnum):
    """What a client is; its names stand in the setting `grpc_<role>`."""

    EXECUTORS = "executors"
    READERS = "readers"
    OPERATORS = "operators"


#: Who may call each method.
ROLES: Mapping[str, frozenset[RpcRole]] = {
    "Session": frozenset({RpcRole.EXECUTORS}),
    "GetJob": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "ListJobs": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "WatchJobs": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "ListExecutors": frozenset({RpcRole.READERS, RpcRole.OPERATORS}),
    "CancelJob": frozenset({RpcRole.OPERATORS}),
    "RetryJob": frozenset({RpcRole.OPERATORS}),
}


def method_of(details: grpc.HandlerCallDetails) -> str | None:
    """The method of ours that is called; none where it is a standard service's."""
    service, _, method = details.method.removeprefix("/").partition("/")
    return method if service == SERVICE else None


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Lets through who has a role that the method asks for."""

    def __init__(self, names: Mapping[RpcRole, Collection[str]]) -> None:
        self._names = names

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler, behind the check."""
        handler = await continuation(handler_call_details)
        method = method_of(handler_call_details)
        return self._guarded(handler, method) if method and handler else handler

    def _guarded(self, handler: Handler, method: str) -> Handler:
        # Only a handler has the context, by which the client is known.
        codecs = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            streaming = handler.stream_stream or handler.unary_stream

            async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
                await self._check(method, context)
                async with aclosing(streaming(request, context)) as responses:
                    async for response in responses:
                        yield response

            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(stream, *codecs)
            return grpc.unary_stream_rpc_method_handler(stream, *codecs)

        async def unary(request: Any, context: Context) -> Any:
            await self._check(method, context)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(unary, *codecs)

    async def _check(self, method: str, context: Context) -> None:
        """Ends the call of a client without the role."""
        names = {name.decode(errors="replace") for name in context.peer_identities() or () if name}
        if not names:
            await abort(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                "NO_NAME",
                "The client's certificate has neither a subject alternative name nor a common "
                "name: issue it one with either.",
            )
        roles = ROLES[method]
        if not any(names.intersection(self._names[role]) for role in roles):
            settings = " or ".join(variable(f"grpc_{role}") for role in sorted(roles))
            await abort(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                "NOT_ALLOWED",
                f"{method} is not allowed to {', '.join(sorted(names))}: add a name of its "
                f"certificate to the facade's {settings}.",
            )
