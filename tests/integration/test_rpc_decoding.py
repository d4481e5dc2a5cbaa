"""Messages that can't be decoded, sent to the gRPC server over a real socket."""

import logging
from typing import Any

import grpc
import pytest

from fabric_jobs.facade.rpc.decoding import MAX_REQUEST_BYTES
from fabric_jobs.facade.rpc.interceptor import SERVICE
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.rpc_kit import error_info, serve

#: A field of the type `string` whose bytes are no UTF-8, and a length beyond the message's end.
UNDECODABLE = [b"\x0a\x01\xff", b"\x0a\xff\xff\xff\xff\x0f"]


async def end_of(call: Any) -> grpc.aio.AioRpcError:
    """The error with which a call ends, whatever it answers before."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call if isinstance(call, grpc.aio.UnaryUnaryCall) else await read_all(call, [])
    return raised.value


async def read_all(stream: Any, messages: list[bytes]) -> None:
    """Reads the stream into the list until it ends."""
    while (message := await stream.read()) is not grpc.aio.EOF:
        messages.append(message)


@pytest.mark.parametrize("data", UNDECODABLE)
@pytest.mark.parametrize("method", ["GetJob", "ListJobs", "CancelJob", "WatchJobs", "Session"])
async def test_undecodable_message_is_an_invalid_argument(
    method: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The client made the error, so it gets the reason and the log gets no traceback."""
    path = f"/{SERVICE}/{method}"
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as opened:
        channel: Any = opened
        if method == "Session":
            call = channel.stream_stream(path)(iter([data]))
        elif method == "WatchJobs":
            call = channel.unary_stream(path)(data)
        else:
            call = channel.unary_unary(path)(data)
        error = await end_of(call)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error).reason == "UNDECODABLE"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("method", ["GetJob", "WatchJobs"])
async def test_long_request_is_an_invalid_argument(method: str) -> None:
    """gRPC would keep it in memory, that of a watch for as long as the watch lasts."""
    request = pb.GetJobRequest(job_id="x" * (MAX_REQUEST_BYTES + 1)).SerializeToString()
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as opened:
        channel: Any = opened
        make = channel.unary_stream if method == "WatchJobs" else channel.unary_unary
        error = await end_of(make(f"/{SERVICE}/{method}")(request))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error).reason == "OUT_OF_BOUNDS"


async def test_entries_before_an_undecodable_message_are_answered() -> None:
    """What was read of a session is not lost with the rest of it."""
    hello = pb.SessionRequest(
        hello=pb.Hello(executor_id="one"), claims=[pb.Claim(entry_id=7, job_id="no GUID")]
    )
    messages = iter([hello.SerializeToString(), UNDECODABLE[0]])
    responses: list[bytes] = []
    async with serve(None) as rpc, grpc.aio.insecure_channel(rpc.address) as opened:
        channel: Any = opened
        stream = channel.stream_stream(f"/{SERVICE}/Session")(messages)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await read_all(stream, responses)

    found = [one for data in responses for one in pb.SessionResponse.FromString(data).answers]
    assert [(one.entry_id, one.refused.reason) for one in found] == [(7, pb.REFUSAL_REASON_INVALID)]
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
