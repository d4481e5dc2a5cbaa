"""The gRPC server of a replica, in the loop that everything else runs in."""

from collections.abc import Callable, Collection, Mapping

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection
from msgspec import Struct

from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.authorization import SERVICE, AuthorizationInterceptor, RpcRole
from fabric_jobs.facade.rpc.health import HealthService
from fabric_jobs.facade.rpc.instrumentation import InstrumentationInterceptor
from fabric_jobs.facade.rpc.offers import Offers
from fabric_jobs.facade.rpc.service import JobStatusService
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.facade.rpc.tls import server_credentials
from fabric_jobs.runtime.settings import address_of
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2_grpc

#: How long calls may go on once the server stops, in seconds.
GRACE_S = 5.0
#: The largest message that is taken, in bytes.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
#: Calls and streams of one connection at a time; more wait at the client.
MAX_STREAMS = 100
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    # Executors ping every 20 s; gRPC would take more than one in 5 minutes for an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
]


class RpcSecurity(Struct, frozen=True):
    """Mutual TLS, and the names of those who may call."""

    files: PemFiles
    names: Mapping[RpcRole, Collection[str]]


class RpcServer:
    """`JobStatusService` on one address, with the standard services for health and reflection."""

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        ready: Callable[[], bool],
        host: str,
        port: int,
        security: RpcSecurity | None,
    ) -> None:
        """Binds at once; without security, everybody may do everything.

        Raises `RuntimeError` where the address can't be had, and `OSError` without its files.
        """
        sessions = Sessions(jobs, replica, roster)
        self.offers = Offers(replica, sessions, ready)
        self._service = JobStatusService(jobs, replica, roster, sessions)
        guards = [AuthorizationInterceptor(security.names)] if security else []
        self._server = grpc.aio.server(
            options=_OPTIONS, interceptors=[InstrumentationInterceptor(), *guards]
        )
        # Generated without annotations.
        job_status_pb2_grpc.add_JobStatusServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service, self._server
        )
        self.health = HealthService(self._server, ready)
        reflection.enable_server_reflection(
            (SERVICE, HEALTH, reflection.SERVICE_NAME), self._server
        )
        at = address_of(host, port)
        if security:
            bound = self._server.add_secure_port(at, server_credentials(security.files))
        else:
            bound = self._server.add_insecure_port(at)
        self.address = address_of(host, bound)

    async def start(self) -> None:
        """Begins to answer."""
        await self.health.look()
        await self._server.start()

    async def drain(self) -> None:
        """Ends the streams from this side: their clients go to another replica."""
        await self.health.drain()
        self._service.stop()

    async def stop(self) -> None:
        """Lets calls finish, and stops."""
        await self.drain()
        await self._server.stop(GRACE_S)
