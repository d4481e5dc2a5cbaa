"""The method of `ReplicaService`: sends a copy of this replica's state to a new replica."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, closing
from typing import NoReturn
from zlib import crc32

import grpc

from fabric_jobs.facade.replica import Identity, Store
from fabric_jobs.facade.replica.state_copy import CopyError
from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.status.v1 import replica_pb2 as pb
from fabric_jobs.status.v1 import replica_pb2_grpc

#: Bytes of the file in one response.
CHUNK_BYTES = 512 * 1024
#: Bound of the rate at which a copy is sent, so that the replica's other work goes on.
MAX_BYTES_PER_S = 256 * 1024 * 1024


class ReplicaService(replica_pb2_grpc.ReplicaServiceServicer):
    """`fabric_jobs.status.v1.ReplicaService` on one replica."""

    def __init__(self, store: Store, identity: Identity, ready: Callable[[], bool]) -> None:
        self._store = store
        self._identity = identity.digest()
        self._ready = ready
        self._is_copying = False
        self._is_stopping = False

    async def CopyReplica(
        self, request: pb.CopyReplicaRequest, context: Context
    ) -> AsyncIterator[pb.CopyReplicaResponse]:
        """Sends the file's size, its content and its checksum."""
        await self._refuse(request, context)
        self._is_copying = True
        try:
            async with aclosing(self._copy(context)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._is_copying = False

    def stop(self) -> None:
        """Ends the copy that is being sent, and refuses further ones."""
        self._is_stopping = True

    async def _refuse(self, request: pb.CopyReplicaRequest, context: Context) -> None:
        """Ends the call unless a copy can be sent now."""
        if self._is_stopping:
            await self._abort_stopping(context)
        if not self._store.has_file:
            code, reason = grpc.StatusCode.FAILED_PRECONDITION, "NO_STATE_FILE"
            await abort(context, code, reason, "This facade keeps its state in memory.")
        if request.identity != self._identity:
            code, reason = grpc.StatusCode.FAILED_PRECONDITION, "OTHER_STATE"
            text = "This facade's state is of another log, or of another version."
            await abort(context, code, reason, text)
        if not self._ready():
            code, reason = grpc.StatusCode.UNAVAILABLE, "NOT_READY"
            await abort(context, code, reason, "This facade is not ready.")
        if self._is_copying:
            code, reason = grpc.StatusCode.RESOURCE_EXHAUSTED, "COPY_IN_PROGRESS"
            await abort(context, code, reason, "This facade sends a copy to another one.")

    async def _copy(self, context: Context) -> AsyncGenerator[pb.CopyReplicaResponse, None]:
        try:
            pinned = await asyncio.wrap_future(self._store.pin_file())
        except CopyError as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, "NOT_READY", str(error))
        begun, sent, checksum = time.monotonic(), 0, 0
        with closing(pinned):
            yield pb.CopyReplicaResponse(size=pinned.size)
            while sent < pinned.size:
                chunk = pinned.read(sent, min(CHUNK_BYTES, pinned.size - sent))
                checksum = crc32(chunk, checksum)
                sent += len(chunk)
                yield pb.CopyReplicaResponse(chunk=chunk)
                # Where the rate needs no wait, the event loop does its other work all the same.
                await asyncio.sleep(max(0.0, begun + sent / MAX_BYTES_PER_S - time.monotonic()))
                if self._is_stopping:
                    await self._abort_stopping(context)
            yield pb.CopyReplicaResponse(checksum=checksum)

    async def _abort_stopping(self, context: Context) -> NoReturn:
        await abort(context, grpc.StatusCode.UNAVAILABLE, "STOPPING", "This facade is stopping.")
