"""The standard health service, by which balancers and clients find the replicas that serve."""

import asyncio
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

from fabric_jobs.facade.rpc.authorization import SERVICE

#: Seconds between two looks at whether the replica is ready.
LOOK_S = 1.0
_SERVING = HealthCheckResponse.SERVING
_NOT_SERVING = HealthCheckResponse.NOT_SERVING


class HealthService:
    """Serving while the replica is ready, for the server as a whole and for its service."""

    def __init__(self, server: grpc.aio.Server, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._servicer = aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def look(self) -> None:
        """Says what holds now."""
        status = _SERVING if self._ready() else _NOT_SERVING
        for name in ("", SERVICE):
            await self._servicer.set(name, status)

    async def run(self) -> None:
        """Keeps saying what holds, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def drain(self) -> None:
        """Not serving, from now on."""
        await self._servicer.enter_graceful_shutdown()
