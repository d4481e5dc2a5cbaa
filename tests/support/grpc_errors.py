"""The code and reason of a failed call of the gRPC API."""

from collections.abc import Awaitable

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status


async def raised(call: Awaitable[object]) -> tuple[str, str]:
    """The canonical code and the reason of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    status, info = Status(), ErrorInfo()
    metadata = failed.value.trailing_metadata()
    assert metadata is not None
    status.ParseFromString(dict(metadata)["grpc-status-details-bin"])
    status.details[0].Unpack(info)
    return failed.value.code().name, info.reason
