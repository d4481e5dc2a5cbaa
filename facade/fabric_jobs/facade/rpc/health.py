"""The standard health service, by which load balancers and clients find replicas that serve."""

import asyncio
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

from fabric_jobs.facade.rpc.interceptor import SERVICE

#: Seconds between two updates of the status.
UPDATE_INTERVAL_S = 1.0
_SERVING = HealthCheckResponse.SERVING
_NOT_SERVING = HealthCheckResponse.NOT_SERVING


class HealthService:
    """Reports SERVING while the replica is ready, for the server and for `JobStatusService`."""

    def __init__(self, server: grpc.aio.Server, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._servicer = aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def update(self) -> None:
        """Sets the status from the replica's current readiness."""
        status = _SERVING if self._ready() else _NOT_SERVING
        for name in ("", SERVICE):
            await self._servicer.set(name, status)

    async def run(self) -> None:
        """Updates the status every second until cancelled."""
        while True:
            await self.update()
            await asyncio.sleep(UPDATE_INTERVAL_S)

    async def drain(self) -> None:
        """Sets the status to NOT_SERVING for good."""
        await self._servicer.enter_graceful_shutdown()
