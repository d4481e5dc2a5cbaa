"""The gRPC server of a replica, in the loop that everything else runs in."""

from collections.abc import Callable

import grpc

from fabric_jobs.status.v1 import job_status_pb2_grpc
from facade.jobs import Jobs
from facade.replica import Replica
from facade.roster import Roster
from facade.rpc.offers import Offers
from facade.rpc.service import JobStatusService
from facade.rpc.sessions import Sessions

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

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        ready: Callable[[], bool],
        host: str,
        port: int,
    ) -> None:
        """Binds at once. Raises `RuntimeError` where the address can't be had."""
        sessions = Sessions(jobs, replica, roster)
        self.offers = Offers(replica, sessions, ready)
        self._service = JobStatusService(jobs, replica, roster, sessions)
        self._server = grpc.aio.server(options=_OPTIONS)
        # Generated without annotations.
        job_status_pb2_grpc.add_JobStatusServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service, self._server
        )
        self.address = f"{host}:{self._server.add_insecure_port(f'{host}:{port}')}"

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()

    def drain(self) -> None:
        """Ends the streams from this side: their clients go to another replica."""
        self._service.stop()

    async def stop(self) -> None:
        """Lets calls finish, and stops."""
        self.drain()
        await self._server.stop(GRACE_S)
