"""Mutual TLS and roles of the gRPC server, on real sockets."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from fabric_jobs.executor.session.session import Session, StreamEndedError
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.rpc.authorization import ROLES
from fabric_jobs.facade.rpc.interceptor import OWN_SERVICES
from fabric_jobs.runtime.channels import connection_advice, open_channel
from fabric_jobs.runtime.tls import PemFiles
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1 import replica_pb2
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from fabric_jobs.status.v1.replica_pb2_grpc import ReplicaServiceStub
from tests.support.certificates import Authority
from tests.support.rpc_kit import connect, error_info, serve

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
NAMES = {
    RpcRole.EXECUTORS: frozenset(
        {"executor", "executor.example.org", "spiffe://example.org/executor"}
    ),
    RpcRole.READERS: frozenset({"reader"}),
    RpcRole.OPERATORS: frozenset({"operator"}),
    RpcRole.FACADES: frozenset({"facade"}),
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Returns the authority that signs all certificates."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def security(authority: Authority) -> RpcSecurity:
    """Returns the server's files, and three client names with one role each."""
    server = authority.server()
    return RpcSecurity(PemFiles(authority.ca, server.cert, server.key), NAMES)


async def _session(stub: Any) -> None:
    assert [response async for response in stub.Session(iter(()))] == []


async def _list(stub: Any) -> None:
    # Not a stream: if the connection fails, gRPC's client may cancel a stream instead.
    await stub.ListJobs(pb.ListJobsRequest())


async def _copy(stub: Any) -> None:
    await stub.CopyReplica(replica_pb2.CopyReplicaRequest()).read()


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
    "ListJobTypes": lambda stub: stub.ListJobTypes(pb.ListJobTypesRequest()),
    "PauseJobType": lambda stub: stub.PauseJobType(pb.PauseJobTypeRequest()),
    "ResumeJobType": lambda stub: stub.ResumeJobType(pb.ResumeJobTypeRequest()),
    "CancelJob": lambda stub: stub.CancelJob(pb.CancelJobRequest(job_id="no GUID")),
    "RetryJob": lambda stub: stub.RetryJob(pb.RetryJobRequest(job_id="no GUID")),
    "GetAccessToken": lambda stub: stub.GetAccessToken(pb.GetAccessTokenRequest()),
    "CopyReplica": _copy,
}


def test_roles_name_every_method_of_the_services() -> None:
    """A method that is added to a service needs an entry in the table."""
    services = [*pb.DESCRIPTOR.services_by_name.values()]
    services += replica_pb2.DESCRIPTOR.services_by_name.values()
    methods = [name for service in services for name in service.methods_by_name]
    assert set(ROLES) == set(CALLS) == set(methods)
    assert {service.full_name for service in services} == OWN_SERVICES


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("role", RpcRole)
async def test_call_is_allowed_if_and_only_if_the_client_has_a_role_of_the_method(
    authority: Authority, security: RpcSecurity, role: RpcRole, method: str
) -> None:
    """A refusal names the settings that allow the call."""
    name = role.removesuffix("s")
    async with (
        serve(security) as rpc,
        connect(rpc, authority, authority.client(name)) as client,
    ):
        make = ReplicaServiceStub if method == "CopyReplica" else JobStatusServiceStub
        stub = make(client)
        try:
            await CALLS[method](stub)
            refused = None
        except grpc.aio.AioRpcError as error:
            refused = error

    if role in ROLES[method]:
        # The facade has no jobs, so some calls end with the service's own error.
        own = {"JOB_NOT_FOUND", "INVALID_JOB_ID", "INVALID_REASON", "JOB_TYPE_NOT_FOUND"}
        own |= {"OUT_OF_BOUNDS", "NO_STATE_FILE", "INVALID_JOB_TYPE"}
        assert refused is None or error_info(refused).reason in own
    else:
        assert refused is not None
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
        assert error_info(refused).reason == "NOT_ALLOWED"
        details = refused.details()
        assert details
        assert details.startswith(f"{method} is not allowed to {name}: add")
        assert [f"FABRIC_JOBS_GRPC_{one.upper()}" in details for one in RpcRole] == [
            one in ROLES[method] for one in RpcRole
        ]


@pytest.mark.parametrize(
    "names",
    [{"dns": ["executor.example.org"]}, {"dns": [], "uri": ["spiffe://example.org/executor"]}],
)
async def test_client_is_known_by_its_dns_and_uri_names(
    authority: Authority, security: RpcSecurity, names: dict[str, Any]
) -> None:
    """Certificates of an authority and identities of a service mesh work alike."""
    known = authority.client("one", common="anybody", **names)
    async with serve(security) as rpc, connect(rpc, authority, known) as client:
        await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]


async def test_client_is_not_known_by_its_common_name(
    authority: Authority, security: RpcSecurity
) -> None:
    """An authority may check a DNS name and not the text beside it."""
    unknown = authority.client("two", common="executor", dns=["other.example.org"])
    async with serve(security) as rpc, connect(rpc, authority, unknown) as client:
        with pytest.raises(grpc.aio.AioRpcError, match=r"allowed to other\.example\.org"):
            await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("common", ["", "executor"])
async def test_client_whose_certificate_has_no_alternative_name_is_unauthenticated(
    authority: Authority, security: RpcSecurity, common: str
) -> None:
    """The right authority has signed the certificate, but it names nobody."""
    nameless = authority.client("nameless", common=common, dns=[])
    async with serve(security) as rpc, connect(rpc, authority, nameless) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _session(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error_info(raised.value).reason == "NO_NAME"


@pytest.mark.parametrize(
    ("version", "refused"), [(ssl.TLSVersion.TLSv1_1, True), (ssl.TLSVersion.TLSv1_2, False)]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_server_refuses_tls_below_1_2(
    authority: Authority,
    security: RpcSecurity,
    capfd: pytest.CaptureFixture[str],
    version: ssl.TLSVersion,
    refused: bool,
) -> None:
    """gRPC has no setting for it, so the test shows what it does."""
    context = ssl.create_default_context(cafile=authority.ca)
    client = authority.client("reader")
    context.load_cert_chain(client.cert, client.key)
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL itself refuses the old versions otherwise
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    async with serve(security) as rpc:
        host, port = rpc.address.split(":")
        connecting = asyncio.open_connection(host, int(port), ssl=context)
        if refused:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await connecting
            assert "UNSUPPORTED_PROTOCOL" in capfd.readouterr().err
        else:
            _, writer = await connecting
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
            writer.close()


async def test_client_with_a_certificate_of_another_authority_cannot_connect(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """The name in the certificate does not matter."""
    other = Authority(tmp_path / "other")
    async with (
        serve(security) as rpc,
        connect(rpc, authority, other.client("executor")) as client,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _list(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("certificate", [False, True], ids=["plain", "TLS without certificate"])
async def test_client_without_a_certificate_cannot_connect(
    authority: Authority, security: RpcSecurity, certificate: bool
) -> None:
    """Neither plain text nor TLS without a client certificate is accepted."""
    credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
    async with serve(security) as rpc:
        unauthenticated = (
            grpc.aio.secure_channel(rpc.address, credentials)
            if certificate
            else grpc.aio.insecure_channel(rpc.address)
        )
        async with unauthenticated as client:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await _list(JobStatusServiceStub(client))  # type: ignore[no-untyped-call]

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_server_with_changed_certificate_files_uses_them_for_new_connections(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """An open connection goes on with the old certificates."""
    new = Authority(tmp_path / "new")
    async with (
        serve(security) as rpc,
        connect(rpc, authority, authority.client("reader")) as old_client,
    ):
        old = JobStatusServiceStub(old_client)  # type: ignore[no-untyped-call]
        await old.ListJobs(pb.ListJobsRequest())
        server = new.server()
        for changed, by in (
            (authority.ca, new.ca),
            *zip((security.files.cert, security.files.key), (server.cert, server.key), strict=True),
        ):
            changed.write_bytes(by.read_bytes())
        async with connect(rpc, new, new.client("reader")) as client:
            stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
            await stub.ListJobs(pb.ListJobsRequest())
        await old.ListJobs(pb.ListJobsRequest())
        async with connect(rpc, new, authority.client("reader")) as client:
            stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ListJobs(pb.ListJobsRequest())


@pytest.mark.parametrize("part", ["ca", "cert", "key"])
@pytest.mark.parametrize("content", [None, b"garbage", b""])
async def test_unusable_certificates_change_nothing_and_are_reported(
    authority: Authority,
    security: RpcSecurity,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    part: str,
    content: bytes | None,
) -> None:
    """New connections get the certificates that were read before, and the log says why, once."""
    caplog.set_level(logging.INFO)
    copy = Authority(tmp_path / "copy")
    copy.ca.write_bytes(authority.ca.read_bytes())
    async with serve(security) as rpc:
        assert rpc.certificates
        assert not rpc.certificates.are_unusable()
        file: Path = getattr(security.files, part)
        good = file.read_bytes()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        for _ in range(2):
            async with connect(rpc, copy, authority.client("reader")) as client:
                stub = JobStatusServiceStub(client)  # type: ignore[no-untyped-call]
                await stub.ListJobs(pb.ListJobsRequest())
        assert rpc.certificates.are_unusable()
        file.write_bytes(good)
        assert not rpc.certificates.are_unusable()

    reports = [record for record in caplog.records if "the certificates" in record.message]
    assert [record.levelname for record in reports] == ["ERROR", "INFO"]
    assert "still get the old ones" in reports[0].message
    assert "have not changed" in reports[1].message


async def test_key_of_another_certificate_is_not_taken(
    authority: Authority, security: RpcSecurity, caplog: pytest.LogCaptureFixture
) -> None:
    """While only one of two files was replaced, the old pair stays in use."""
    async with serve(security) as rpc:
        assert rpc.certificates
        security.files.key.write_bytes(authority.client("other").key.read_bytes())
        assert rpc.certificates.are_unusable()
    assert "the key is not the certificate's" in caplog.text


async def test_connection_advice_for_each_fault_names_the_setting_to_change(
    authority: Authority, security: RpcSecurity, tmp_path: Path
) -> None:
    """gRPC's own message says only that a handshake failed or a socket was closed."""
    other = Authority(tmp_path / "other")
    known, unknown = authority.client("reader"), other.client("reader")
    elsewhere = authority.client("elsewhere", dns=["elsewhere.example.org"])
    misnamed = RpcSecurity(PemFiles(authority.ca, elsewhere.cert, elsewhere.key), NAMES)
    right = PemFiles(authority.ca, known.cert, known.key)
    advice = [
        await _connection_advice(server_security, tls)
        for server_security, tls in (
            (security, right),
            (security, None),
            (security, PemFiles(authority.ca, unknown.cert, unknown.key)),
            (security, PemFiles(other.ca, known.cert, known.key)),
            (misnamed, right),
            (None, right),
        )
    ]

    certificate_advice = (
        "This may be no facade's gRPC address, but Kafka's, for example. Or the facade requires a "
        "certificate from an authority that it trusts: set "
        "FABRIC_JOBS_FACADES_TLS_CERT_FILE."
    )
    assert advice == [
        "",
        certificate_advice,
        certificate_advice,
        "The facade's certificate is not trusted: set FABRIC_JOBS_FACADES_TLS_CA_FILE to the "
        "authority that signed it.",
        "Connect by a host name that the facade's certificate contains.",
        "The facade does not use TLS: leave FABRIC_JOBS_FACADES_TLS_CERT_FILE empty.",
    ]


async def _connection_advice(security: RpcSecurity | None, tls: PemFiles | None) -> str:
    """Returns the advice for a client's failed call, or an empty text if the call succeeds."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with serve(security) as rpc, open_channel(rpc.address, tls, options) as client:
        try:
            await JobStatusServiceStub(client).ListJobs(  # type: ignore[no-untyped-call]
                pb.ListJobsRequest()
            )
        except grpc.aio.AioRpcError as error:
            return connection_advice(error.details() or "")
        return ""


async def test_executor_without_the_role_gets_the_refusal_of_the_facade(
    authority: Authority, security: RpcSecurity
) -> None:
    """Its stream ends with an error that names the refusal, so it tries the next facade."""
    reader = authority.client("reader")
    async with serve(security) as rpc:
        session = Session(
            pb.Hello(executor_id="one"),
            [rpc.address],
            heartbeat_s=60,
            tls=PemFiles(authority.ca, reader.cert, reader.key),
        )
        with pytest.raises(StreamEndedError, match="PERMISSION_DENIED Session is not allowed to"):
            await session.connect(IdleExecutor())


class IdleExecutor:
    """An executor without runs."""

    def heartbeat(self) -> pb.Heartbeat:
        """Returns a heartbeat without runs."""
        return pb.Heartbeat()

    def cancel(self, job_id: str, attempt: int) -> None:
        """Does nothing."""

    def stop(self, job_id: str, attempt: int) -> None:
        """Does nothing."""

    def offer(self, offer: pb.Offer) -> None:
        """Does nothing."""
