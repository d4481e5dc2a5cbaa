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

#: Bound of a request, in bytes, except those of sessions. gRPC keeps the request of a watch as long
#: as the watch lasts, and that of a failed call until Python's garbage collector finds it.
MAX_REQUEST_BYTES = 64 * 1024
_SESSION_PARTS = PartCounter(pb.SessionRequest.DESCRIPTOR)


class _Undecodable(Struct, frozen=True):
    """Stands for a message that can't be decoded."""

    reason: str
    text: str


class _Request:
    """A request of a session. gRPC keeps it until the next one comes, which may take days.

    So a session takes the message out of it, and the message is freed once it is handled.
    """

    def __init__(self, message: Any) -> None:
        self._messages = [message]

    def take(self) -> Any:
        """Returns the message, once."""
        return self._messages.pop()


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
            return grpc.stream_stream_rpc_method_handler(
                stream, lambda data: _Request(counting(data)), codecs[1]
            )
        if handler.response_streaming:
            watch = _wrap_watch(handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(watch, _limit(codecs[0]), codecs[1])
        unary = _wrap_unary(handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(unary, _limit(codecs[0]), codecs[1])


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


def _limit(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A decoder that refuses a request above `MAX_REQUEST_BYTES`."""

    def check_and_decode(data: bytes) -> Any:
        if len(data) > MAX_REQUEST_BYTES:
            text = f"The request may have {MAX_REQUEST_BYTES:,} bytes at most."
            return _Undecodable("OUT_OF_BOUNDS", text)
        return decode(data)

    return check_and_decode


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
                taken = [request.take()]
                if isinstance(taken[0], _Undecodable):
                    undecodable.append(taken[0])
                    return
                yield taken.pop()  # no reference stays here while the next request is awaited

        async with aclosing(call(decodable(), context)) as responses:
            async for response in responses:
                yield response
        if undecodable:
            await _abort(undecodable[0], context)

    return session


async def _abort(request: _Undecodable, context: Context) -> None:
    await abort_invalid(context, request.reason, request.text)
