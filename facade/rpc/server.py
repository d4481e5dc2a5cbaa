"""The gRPC server, in the loop that everything else runs in."""

import grpc

from fabric_jobs.status.v1 import job_status_pb2_grpc
from facade.jobs import Jobs
from facade.leases import Leases
from facade.replica import Replica
from facade.rpc.service import JobStatusService
from facade.rpc.session import Sessions

#: How long calls may go on once the server stops, in seconds.
GRACE_S = 5.0
_OPTIONS = [
    # Executors ping every 20 s; gRPC would take more than one in 5 minutes for an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
]


class RpcServer:
    """`JobStatusService` on one address."""

    def __init__(self, jobs: Jobs, replica: Replica, leases: Leases, host: str, port: int) -> None:
        """Binds at once. Raises `RuntimeError` where the address can't be had."""
        self._service = JobStatusService(jobs, replica, Sessions(jobs, replica, leases))
        self._server = grpc.aio.server(options=_OPTIONS)
        # Generated without annotations.
        job_status_pb2_grpc.add_JobStatusServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service, self._server
        )
        self.address = f"{host}:{self._server.add_insecure_port(f'{host}:{port}')}"

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Ends the streams from this side, lets calls finish, and stops."""
        self._service.stop()
        await self._server.stop(GRACE_S)
