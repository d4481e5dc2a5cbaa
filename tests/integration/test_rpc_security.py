"""Mutual TLS and roles over real sockets."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from fabric_jobs.executor.session import Session, StreamEndedError
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.rpc.authorization import ROLES
from fabric_jobs.runtime.channels import open_channel, remedy
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.certificates import Authority
from tests.support.rpc_kit import channel, reason, serving

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
NAMES = {
    RpcRole.EXECUTORS: frozenset({"executor", "executor.example.org"}),
    RpcRole.READERS: frozenset({"reader"}),
    RpcRole.OPERATORS: frozenset({"operator"}),
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """It signs everybody's certificate."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def security(authority: Authority) -> RpcSecurity:
    """Three clients, each with one role."""
    server = authority.server()
    return RpcSecurity(PemFiles(authority.ca, server.cert, server.key), NAMES)


async def _session(stub: Any) -> None:
    assert [response async for response in stub.Session(iter(()))] == []


async def _list(stub: Any) -> None:
    # Of a connection that fails, no stream tells for sure: gRPC's client cancels one that it can't
    # write to any more.
    await stub.ListJobs(pb.ListJobsRequest())


async def _watch(stub: Any) -> None:
    watch = stub.WatchJobs(pb.WatchJobsRequest())
    await watch.read()
    watch.cancel()


CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "Session": _session,
    "GetJob": lambda stub: stub.GetJob(pb.GetJobRequest(job_id=JOB_ID)),
    "ListJobs": lambda stub: stub.ListJobs(pb.ListJobsRequest()),
    "WatchJobs": _watch,
    "ListExecutors": lambda stub: stub.ListExecutors(pb.ListExecutorsRequest()),
    "CancelJob": lambda stub: stub.CancelJob(pb.CancelJobRequest(job_id="no GUID")),
    "RetryJob": lambda stub: stub.RetryJob(pb.RetryJobRequest(job_id="no GUID")),
}


def test_every_method_has_its_roles() -> None:
    """A method that is added to the service and not to the table fails here."""
    methods = pb.DESCRIPTOR.services_by_name["JobStatusService"].methods_by_name
    assert set(ROLES) == set(CALLS) == set(methods)


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("role", RpcRole)
async def test_a_client_may_do_what_its_role_allows(
    authority: Authority, security: RpcSecurity, role: RpcRole, method: str
) -> None:
    """A call that is allowed reaches the service; any other is told what to do."""
    name = role.removesuffix("s")
    async with (
        serving(security) as rpc,
        channel(rpc, authority, authority.client(name)) as client,
    ):
        stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
        try:
            await CALLS[method](stub)
            refused = None
        except grpc.aio.AioRpcError as error:
            refused = error

    if role in ROLES[method]:
        # Nothing is known there, so some calls end with the service's own error.
        assert refused is None or reason(refused) in {"JOB_NOT_FOUND", "INVALID_JOB_ID"}
    else:
        assert refused is not None
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason(refused) == "NOT_ALLOWED"
        details = refused.details()
        assert details
        assert details.startswith(f"{method} is not allowed to {name}: add")
        assert [f"FABRIC_JOBS_GRPC_{one.upper()}" in details for one in RpcRole] == [
            one in ROLES[method] for one in RpcRole
        ]


async def test_a_client_is_known_by_its_alternative_names_before_its_common_name(
    authority: Authority, security: RpcSecurity
) -> None:
    """As everywhere in TLS: with alternative names, the common name counts for nothing."""
    known = authority.client("one", common="anybody", dns=["executor.example.org"])
    unknown = authority.client("two", common="executor", dns=["other.example.org"])
    async with serving(security) as rpc:
        async with channel(rpc, authority, known) as client:
            await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]
        async with channel(rpc, authority, unknown) as client:
            with pytest.raises(grpc.aio.AioRpcError, match=r"allowed to other\.example\.org"):
                await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]


async def test_a_certificate_without_a_name_is_nobody(
    authority: Authority, security: RpcSecurity
) -> None:
    """It is signed as it must be, and says nothing."""
    nameless = authority.client("nameless", common="")
    async with serving(security) as rpc, channel(rpc, authority, nameless) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason(raised.value) == "NO_NAME"


async def test_a_certificate_of_another_authority_makes_no_connection(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """Whatever name it has."""
    other = Authority(tmp_path / "other")
    async with (
        serving(security) as rpc,
        channel(rpc, authority, other.client("executor")) as client,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _list(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("certificate", [False, True], ids=["plain", "TLS without certificate"])
async def test_who_shows_no_certificate_makes_no_connection(
    authority: Authority, security: RpcSecurity, certificate: bool
) -> None:
    """Neither in plain text nor by TLS that tells nothing."""
    credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
    async with serving(security) as rpc:
        opened = (
            grpc.aio.secure_channel(rpc.address, credentials)
            if certificate
            else grpc.aio.insecure_channel(rpc.address)
        )
        async with opened as client:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await _list(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_certificates_are_changed_without_a_restart(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """New connections are held to the new files; one that is open goes on."""
    new = Authority(tmp_path / "new")
    async with (
        serving(security) as rpc,
        channel(rpc, authority, authority.client("reader")) as old_client,
    ):
        old = JobStatusServiceStub(old_client)  # type: ignore[no-untyped-call]
        await old.ListJobs(pb.ListJobsRequest())
        server = new.server()
        for changed, by in (
            (authority.ca, new.ca),
            *zip((security.files.cert, security.files.key), (server.cert, server.key), strict=True),
        ):
            changed.write_bytes(by.read_bytes())
        async with channel(rpc, new, new.client("reader")) as client:
            stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
            await stub.ListJobs(pb.ListJobsRequest())
        await old.ListJobs(pb.ListJobsRequest())
        async with channel(rpc, new, authority.client("reader")) as client:
            stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ListJobs(pb.ListJobsRequest())


async def test_certificates_that_can_not_be_read_change_nothing(
    authority: Authority, security: RpcSecurity, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotation that is half done shuts nobody out, and the log says so."""
    ca = Authority(authority.ca.parent.parent / "copy")
    ca.ca.write_bytes(authority.ca.read_bytes())
    async with serving(security) as rpc:
        security.files.key.unlink()
        async with channel(rpc, ca, authority.client("reader")) as client:
            stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
            await stub.ListJobs(pb.ListJobsRequest())

    assert "the old ones stay" in caplog.text


async def test_what_is_wrong_with_a_connection_is_told_by_what_would_do(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """In gRPC's own words it is a handshake that failed, or a socket that was closed."""
    other = Authority(tmp_path / "other")
    known, stranger = authority.client("reader"), other.client("reader")
    elsewhere = authority.client("elsewhere", dns=["elsewhere.example.org"])
    misnamed = RpcSecurity(PemFiles(authority.ca, elsewhere.cert, elsewhere.key), NAMES)
    mine = PemFiles(authority.ca, known.cert, known.key)
    told = [
        await _told(served, tls)
        for served, tls in (
            (security, mine),
            (security, None),
            (security, PemFiles(authority.ca, stranger.cert, stranger.key)),
            (security, PemFiles(other.ca, known.cert, known.key)),
            (misnamed, mine),
            (None, mine),
        )
    ]

    assert [remedy.partition(":")[0] for remedy in told[:3]] == [
        "",
        "It may ask for a certificate of an authority that it knows",
        "It may ask for a certificate of an authority that it knows",
    ]
    assert told[3:] == [
        "Name its authority in FABRIC_JOBS_FACADES_TLS_CA_FILE.",
        "Call it by a name that its certificate has.",
        "It speaks no TLS: leave FABRIC_JOBS_FACADES_TLS_CERT_FILE empty.",
    ]


async def _told(security: RpcSecurity | None, tls: PemFiles | None) -> str:
    """What a client is told; nothing where its call is answered."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with serving(security) as rpc, open_channel(rpc.address, tls, own) as client:
        try:
            await JobStatusServiceStub(client).ListJobs(  # type: ignore[no-untyped-call]
                pb.ListJobsRequest()
            )
        except grpc.aio.AioRpcError as error:
            return remedy(error.details() or "")
        return ""


async def test_an_executor_without_the_role_says_what_would_do(
    authority: Authority, security: RpcSecurity
) -> None:
    """Its stream ends with the facade's word, and goes to the next facade."""
    reader = authority.client("reader")
    async with serving(security) as rpc:
        session = Session(
            pb.Hello(executor_id="one"),
            [rpc.address],
            heartbeat_s=60,
            tls=PemFiles(authority.ca, reader.cert, reader.key),
        )
        with pytest.raises(StreamEndedError, match="PERMISSION_DENIED Session is not allowed to"):
            await session.connect(Idle())


class Idle:
    """An executor that holds nothing."""

    def heartbeat(self) -> pb.Heartbeat:
        """It holds nothing."""
        return pb.Heartbeat()

    def cancel(self, job_id: str, attempt: int) -> None:
        """Nothing can be cancelled."""

    def stop(self, job_id: str, attempt: int) -> None:
        """Nothing can be stopped."""

    def offer(self, offer: pb.Offer) -> None:
        """It takes nothing."""
