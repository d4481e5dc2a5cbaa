"""A gRPC server without jobs on a real socket, its clients, and messages to it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE
from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.controls import JobTypes
from fabric_jobs.facade.peers import Peers
from fabric_jobs.facade.replica import Store
from fabric_jobs.facade.rpc import ReplicaService, RpcSecurity, RpcServer
from fabric_jobs.runtime.channels import open_channel
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.certificates import Authority, Certificate
from tests.support.controls import open_controls
from tests.support.sealing import NO_SEALING
from tests.support.store_kit import IDENTITY

GUID = "0F9D2C3E-5B7A-4C1D-8E6F-A0B1C2D3E4F5"
START, END = Timestamp(seconds=1_800_000_000), Timestamp(seconds=1_800_000_060)
#: The first message of an executor.
HELLO = pb.Hello(
    executor_id="executor",
    pool="pool",
    version="a-program 1.2",
    slots=3,
    job_types=[pb.JobType(item_type="Item", job_type="job")],
)
#: A request that sets every filter.
FULL_LIST_REQUEST = pb.ListJobsRequest(
    statuses=[pb.JOB_INSTANCE_STATUS_FAILED, pb.JOB_INSTANCE_STATUS_COMPLETED],
    job_type="job",
    item_type="item",
    workspace_id=GUID,
    item_id=GUID,
    exhausted=True,
    unreplaced=True,
    start_create_time=START,
    end_create_time=END,
)


class EmptyFacade:
    """Stands for the jobs, the replica and the roster of a facade without jobs and executors."""

    def __init__(self) -> None:
        self.listeners: set[Any] = set()
        self.reset_listeners: set[Any] = set()
        self.secrets = NO_SEALING
        self.peers = Peers("/test", int(DEFAULT_LONGEST_LIFE.total_seconds()))
        self.clock = Clock()

    def checkpoints(self) -> dict[int, Any]:
        """Returns no positions."""
        return {}

    async def read(self, job_id: str) -> None:
        """Returns no job."""

    async def execute(self, command: object) -> Any:
        """Fails, as a fault in the service does."""
        raise NotImplementedError

    async def list(self, *_: object) -> tuple[Sequence[Any], dict[int, int]]:
        """Returns no jobs and no positions."""
        return [], {}

    async def freshen(self) -> None:
        """Does nothing."""

    async def replacements(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Returns no jobs."""
        return {}

    async def unfinished_types(self) -> Sequence[Any]:
        """Returns no job types."""
        return []

    def served_kinds(self) -> frozenset[Any]:
        """Returns no job types."""
        return frozenset()

    def get(self, job_id: str) -> None:
        """Returns no job."""

    def find(self, executor_id: str) -> None:
        """Returns no executor."""

    def executors(self) -> Sequence[Any]:
        """Returns no executors."""
        return []


def no_copies() -> ReplicaService:
    """The service of a replica that keeps its state in memory, and so gives no copies."""
    return ReplicaService(Store(None), IDENTITY, lambda: True)


@asynccontextmanager
async def serve(
    security: RpcSecurity | None,
    ready: Callable[[], bool] = lambda: True,
    copies: ReplicaService | None = None,
) -> AsyncIterator[RpcServer]:
    """Runs the server of an empty facade on a free port."""
    facade: Any = EmptyFacade()
    job_types = JobTypes(facade, facade, facade, open_controls())
    copies = copies or no_copies()
    rpc = RpcServer(facade, facade, facade, job_types, copies, ready, "127.0.0.1", 0, security)
    async with run_server(rpc):
        yield rpc


@asynccontextmanager
async def run_server(rpc: RpcServer) -> AsyncIterator[None]:
    """Runs a server, which must be new, until the end of the block."""
    await rpc.start()
    try:
        yield
    finally:
        await rpc.stop()


@asynccontextmanager
async def connect(
    rpc: RpcServer, authority: Authority, certificate: Certificate
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel with this client certificate, on a connection of its own."""
    files = PemFiles(authority.ca, certificate.cert, certificate.key)
    # Without this option, channels to one address share a connection and its certificate.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with open_channel(rpc.address, files, options) as channel:
        yield channel


def error_info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Returns the `ErrorInfo` of a failed call."""
    status, info = Status(), ErrorInfo()
    metadata = dict(error.trailing_metadata() or ())
    status.ParseFromString(metadata["grpc-status-details-bin"])
    status.details[0].Unpack(info)
    return info
