"""Mutual TLS binds an executor to the names in its certificate, on real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.controls import JobTypes
from fabric_jobs.facade.on_behalf_of import OnBehalfOf
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity, RpcServer
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.certificates import Authority
from tests.support.controls import MemoryLog, open_controls
from tests.support.grants import SCOPE, FakeClient, job_with_grant, new_ring, open_grants
from tests.support.grpc_errors import raised
from tests.support.lifecycle import JOB, TENANT
from tests.support.rpc_kit import EmptyFacade, connect, no_copies, run_server

EXECUTOR = "the-executor"
REQUEST = pb.GetAccessTokenRequest(job_id=JOB, attempt=1, executor_id=EXECUTOR, scope=SCOPE)


class BusyFacade(EmptyFacade):
    """A facade with a running job and its executor."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        job = job_with_grant()
        state = replace(job.state, phase=JobPhase.RUNNING, executor_id=EXECUTOR)
        self.stored = StoredJob(replace(job, state=state), 0, 0, 0)
        self.heartbeat: Any = ExecutorHeartbeat(executor_id=EXECUTOR, names=names)

    async def read(self, job_id: str) -> Any:
        """Returns the job."""
        return self.stored if job_id == JOB else None

    def find(self, executor_id: str) -> Any:
        """Returns the executor's heartbeat."""
        return self.heartbeat if executor_id == EXECUTOR else None


@asynccontextmanager
async def serve(authority: Authority, busy: BusyFacade) -> AsyncIterator[RpcServer]:
    """Runs the server of the busy facade, with two executors' names."""
    server = authority.server()
    names = {role: frozenset({"one", "two", "renewed"}) for role in RpcRole}
    security = RpcSecurity(PemFiles(authority.ca, server.cert, server.key), names)
    facade, client = busy, FakeClient()
    grants = open_grants(MemoryLog(), new_ring("one"))
    on_behalf_of = OnBehalfOf(client, grants, SCOPE, 1.0)  # type: ignore[arg-type]
    accepted = await on_behalf_of.accept(TENANT, JOB, "the user's token")
    job = busy.stored.job
    state = replace(job.state, grant_id=accepted)
    busy.stored = replace(busy.stored, job=replace(job, state=state))
    job_types = JobTypes(facade, facade, facade, open_controls())  # type: ignore[arg-type]
    where = ("127.0.0.1", 0)
    rpc = RpcServer(
        facade,  # type: ignore[arg-type]
        facade,  # type: ignore[arg-type]
        facade,  # type: ignore[arg-type]
        job_types,
        no_copies(),
        lambda: True,
        *where,
        security,
        on_behalf_of,
    )
    async with run_server(rpc):
        yield rpc


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs all certificates."""
    return Authority(tmp_path / "authority")


async def test_token_is_given_to_the_certificate_of_the_executors_session(
    authority: Authority,
) -> None:
    """A renewed certificate keeps one of its names. Another executor's has none of them."""
    busy = BusyFacade(("one",))
    async with serve(authority, busy) as rpc:
        for dns, expected in (
            (["one"], "access-1"),
            (["one", "renewed"], "access-1"),
            (["two"], ("PERMISSION_DENIED", "NOT_HOLDER")),
        ):
            certificate = authority.client("-".join(dns), dns=dns)
            async with connect(rpc, authority, certificate) as channel:
                stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
                call = stub.GetAccessToken(REQUEST)
                if isinstance(expected, tuple):
                    assert await raised(call) == expected
                else:
                    response = await call
                    assert response.access_token == expected
                    assert 3590 < response.expires_in.ToTimedelta().total_seconds() <= 3600


async def test_executor_whose_heartbeat_was_not_read_yet_is_asked_to_wait(
    authority: Authority,
) -> None:
    """The facade can't tell who it is, so it refuses nothing for good."""
    busy = BusyFacade(("one",))
    busy.heartbeat = None
    async with (
        serve(authority, busy) as rpc,
        connect(rpc, authority, authority.client("one")) as channel,
    ):
        stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
        refused = await raised(stub.GetAccessToken(REQUEST))

    assert refused == ("UNAVAILABLE", "LOG_UNREACHABLE")


async def test_session_with_the_id_of_another_certificates_executor_is_refused(
    authority: Authority,
) -> None:
    """Nobody can take over an executor's runs, and with them its tokens."""
    busy = BusyFacade(("one",))
    hello = pb.SessionRequest(hello=pb.Hello(executor_id=EXECUTOR))
    async with (
        serve(authority, busy) as rpc,
        connect(rpc, authority, authority.client("two")) as channel,
    ):
        stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
        stream = stub.Session(iter([hello]))
        refused = await raised(stream.read())

    assert refused == ("PERMISSION_DENIED", "EXECUTOR_ID_TAKEN")


@pytest.mark.parametrize(
    "changes",
    [
        {"job_id": "no guid"},
        {"attempt": 0},
        {"executor_id": ""},
        {"scope": ""},
        {"scope": "x" * 513},
        {"scope": "offline_access"},
        {"scope": "https://x/.default OpenID"},
        {"claims": "x" * 8193},
        {"kind": 9},
    ],
)
async def test_request_outside_its_bounds_is_invalid(
    authority: Authority, changes: dict[str, Any]
) -> None:
    """The error names the field."""
    request = pb.GetAccessTokenRequest(job_id=JOB, attempt=1, executor_id=EXECUTOR, scope=SCOPE)
    for name, value in changes.items():
        setattr(request, name, value)
    async with (
        serve(authority, BusyFacade(("one",))) as rpc,
        connect(rpc, authority, authority.client("one")) as channel,
    ):
        stub = JobStatusServiceStub(channel)  # type: ignore[no-untyped-call]
        code, _ = await raised(stub.GetAccessToken(request))

    assert code == grpc.StatusCode.INVALID_ARGUMENT.name
