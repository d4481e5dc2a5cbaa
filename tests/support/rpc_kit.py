"""A gRPC server over a real socket, behind which nothing is known, and clients of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.facade.rpc import RpcSecurity, RpcServer
from fabric_jobs.runtime.channels import open_channel
from fabric_jobs.runtime.tls import PemFiles
from tests.support.certificates import Authority, Certificate


class Nothing:
    """Jobs, replica and roster in one, of a facade that nobody has told anything."""

    def __init__(self) -> None:
        self.listeners: set[Any] = set()

    async def read(self, job_id: str) -> None:
        """No job is known."""

    async def execute(self, command: object) -> Any:
        """Nothing can be done."""
        raise NotImplementedError

    async def list(self, *_: object) -> tuple[Sequence[Any], dict[int, int]]:
        """There are no jobs."""
        return [], {}

    def executors(self) -> Sequence[Any]:
        """There are no executors."""
        return []


@asynccontextmanager
async def serving(
    security: RpcSecurity | None, ready: Callable[[], bool] = lambda: True
) -> AsyncIterator[RpcServer]:
    """The server on a free port."""
    nothing: Any = Nothing()
    rpc = RpcServer(nothing, nothing, nothing, ready, "127.0.0.1", 0, security)
    await rpc.start()
    try:
        yield rpc
    finally:
        await rpc.stop()


@asynccontextmanager
async def channel(
    rpc: RpcServer, authority: Authority, certificate: Certificate
) -> AsyncIterator[grpc.aio.Channel]:
    """A client's connection of its own."""
    files = PemFiles(authority.ca, certificate.cert, certificate.key)
    # Else channels to one address share a connection, and with it a client's name.
    async with open_channel(rpc.address, files, [("grpc.use_local_subchannel_pool", 1)]) as opened:
        yield opened


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason that stands in the error."""
    status, info = Status(), ErrorInfo()
    metadata = dict(error.trailing_metadata() or ())
    status.ParseFromString(metadata["grpc-status-details-bin"])
    status.details[0].Unpack(info)
    return str(info.reason)
