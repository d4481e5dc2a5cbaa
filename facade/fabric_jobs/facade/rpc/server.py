"""The gRPC server of a replica. It runs in the replica's only event loop."""

from collections.abc import Callable, Collection, Mapping

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection
from msgspec import Struct

from fabric_jobs.facade.controls import JobTypes
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.on_behalf_of import OnBehalfOf
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.access_tokens import AccessTokens
from fabric_jobs.facade.rpc.authorization import AuthorizationInterceptor, RpcRole
from fabric_jobs.facade.rpc.decoding import DecodingInterceptor
from fabric_jobs.facade.rpc.health import HealthService
from fabric_jobs.facade.rpc.instrumentation import InstrumentationInterceptor
from fabric_jobs.facade.rpc.interceptor import OWN_SERVICES, ErrorInterceptor
from fabric_jobs.facade.rpc.offers import OfferLoop
from fabric_jobs.facade.rpc.replica_service import ReplicaService
from fabric_jobs.facade.rpc.service import JobStatusService
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.facade.rpc.tls import ServerCertificates
from fabric_jobs.runtime.channels import SERVER_KEEPALIVE_OPTIONS
from fabric_jobs.runtime.settings import address_of
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2_grpc, replica_pb2_grpc

#: Seconds that calls may go on after the server has begun to stop.
GRACE_S = 5.0
#: Bound of a received message, in bytes.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
#: Bound of the calls and streams of one connection at the same time; more wait at the client.
MAX_STREAMS = 100
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    *SERVER_KEEPALIVE_OPTIONS,
    ("grpc.so_reuseport", 0),
]


class RpcSecurity(Struct, frozen=True):
    """The files for mutual TLS, and the client names that have each role."""

    files: PemFiles
    names: Mapping[RpcRole, Collection[str]]


class RpcServer:
    """The facade's services on one address, with the standard ones for health and reflection."""

    def __init__(
        self,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        job_types: JobTypes,
        copies: ReplicaService,
        ready: Callable[[], bool],
        host: str,
        port: int,
        security: RpcSecurity | None,
        on_behalf_of: OnBehalfOf | None = None,
    ) -> None:
        """Binds the address at once. Without `security`, any client may call any method.

        Raises `RuntimeError` if the address cannot be bound, and `OSError` or `SettingsError` if a
        TLS file cannot be used.
        """
        sessions = Sessions(jobs, replica, roster, job_types.controls)
        self.offers = OfferLoop(
            replica, sessions, job_types.controls, jobs.secrets, ready, roster.clock.now
        )
        self._service = JobStatusService(
            jobs, replica, roster, job_types, sessions, AccessTokens(jobs, roster, on_behalf_of)
        )
        authorization = [AuthorizationInterceptor(security.names)] if security else []
        self._server = grpc.aio.server(
            options=OPTIONS,
            interceptors=[
                InstrumentationInterceptor(),
                *authorization,
                ErrorInterceptor(),
                DecodingInterceptor(),
            ],
        )
        # The generated code has no annotations.
        job_status_pb2_grpc.add_JobStatusServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service, self._server
        )
        self._copies = copies
        replica_pb2_grpc.add_ReplicaServiceServicer_to_server(  # type: ignore[no-untyped-call]
            copies, self._server
        )
        self.health = HealthService(self._server, ready)
        reflection.enable_server_reflection(
            (*OWN_SERVICES, HEALTH, reflection.SERVICE_NAME), self._server
        )
        at = address_of(host, port)
        #: The certificates of mutual TLS; None without TLS.
        self.certificates: ServerCertificates | None = None
        if security:
            self.certificates = ServerCertificates(security.files)
            bound = self._server.add_secure_port(at, self.certificates.credentials())
        else:
            bound = self._server.add_insecure_port(at)
        self.address = address_of(host, bound)

    async def start(self) -> None:
        """Begins to serve."""
        await self.health.update()
        await self._server.start()

    async def drain(self) -> None:
        """Ends all streams, so that their clients connect to another replica."""
        await self.health.drain()
        self._service.stop()
        self._copies.stop()

    async def stop(self) -> None:
        """Drains, lets calls finish for `GRACE_S`, and stops."""
        await self.drain()
        await self._server.stop(GRACE_S)
