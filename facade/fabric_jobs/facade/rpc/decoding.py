"""Ends a call whose message can't be decoded with INVALID_ARGUMENT and a reason.

gRPC itself would end it with UNKNOWN and log a traceback, for each message of any client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from msgspec import Struct

from fabric_jobs.facade.rpc.errors import Context, abort_invalid
from fabric_jobs.facade.rpc.interceptor import OWN_SERVICES, Handler, split_method
from fabric_jobs.facade.rpc.parts import MAX_PARTS, SMALL_BYTES, PartCounter
from fabric_jobs.status.v1 import job_status_pb2 as pb

_SESSION_PARTS = PartCounter(pb.SessionRequest.DESCRIPTOR)


class _Undecodable(Struct, frozen=True):
    """Stands for a message that can't be decoded."""

    reason: str
    text: str


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Decodes the requests of the facade's services. It must be the last interceptor."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Returns the handler of the called method, wrapped; gRPC calls this."""
        handler = await continuation(handler_call_details)
        service, _ = split_method(handler_call_details)
        if handler is None or service not in OWN_SERVICES:
            return handler
        codecs = (_decoder(handler.request_deserializer), handler.response_serializer)
        if handler.request_streaming:
            stream = _wrap_session(handler.stream_stream)
            counting = _count_before(codecs[0])
            return grpc.stream_stream_rpc_method_handler(stream, counting, codecs[1])
        if handler.response_streaming:
            watch = _wrap_watch(handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(watch, *codecs)
        return grpc.unary_unary_rpc_method_handler(_wrap_unary(handler.unary_unary), *codecs)


def _decoder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode_or_stand_in(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError as error:
            text = f"The message is not of the method's type: {error}"
            return _Undecodable("UNDECODABLE", text)

    return decode_or_stand_in


def _count_before(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A decoder of a session's requests that refuses one with too many parts before it decodes."""

    def count_and_decode(data: bytes) -> Any:
        # What the counter can't decode, the decoder refuses.
        with suppress(DecodeError):
            if len(data) > SMALL_BYTES and _SESSION_PARTS.exceeds(data):
                text = f"A message may have {MAX_PARTS} messages inside it at most."
                return _Undecodable("INVALID_MESSAGE", text)
        return decode(data)

    return count_and_decode


def _wrap_unary(call: Any) -> Any:
    async def unary(request: Any, context: Context) -> Any:
        if isinstance(request, _Undecodable):
            await _abort(request, context)
        return await call(request, context)

    return unary


def _wrap_watch(call: Any) -> Any:
    async def watch(request: Any, context: Context) -> AsyncIterator[Any]:
        if isinstance(request, _Undecodable):
            await _abort(request, context)
        async with aclosing(call(request, context)) as responses:
            async for response in responses:
                yield response

    return watch


def _wrap_session(call: Any) -> Any:
    async def session(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        undecodable: list[_Undecodable] = []

        async def decodable() -> AsyncIterator[Any]:
            """The requests up to the first that can't be decoded; what was read is answered."""
            async for request in requests:
                if isinstance(request, _Undecodable):
                    undecodable.append(request)
                    return
                yield request

        async with aclosing(call(decodable(), context)) as responses:
            async for response in responses:
                yield response
        if undecodable:
            await _abort(undecodable[0], context)

    return session


async def _abort(request: _Undecodable, context: Context) -> None:
    await abort_invalid(context, request.reason, request.text)
