"""A copy of a neighbour's state over mutual TLS: the facades know each other by their DNS names."""

from pathlib import Path

import grpc
import pytest

from fabric_jobs.facade.replica.state_copy import CopyError
from fabric_jobs.facade.rpc import ReplicaService, RpcRole, RpcSecurity
from fabric_jobs.facade.startup import copies
from fabric_jobs.runtime.tls import PemFiles
from tests.support.certificates import Authority, Certificate
from tests.support.rpc_kit import serve
from tests.support.store_kit import IDENTITY, open_store, put, read_file, stored_job

FACADES = frozenset({"facade-a", "facade-b", "facade-c", "spiffe://example.org/facade"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs every facade's certificate."""
    return Authority(tmp_path / "authority")


def security_of(authority: Authority, name: str) -> RpcSecurity:
    """The gRPC security of a facade whose certificate has this DNS name alone."""
    return security_with(authority, authority.client(name), FACADES)


def security_with(
    authority: Authority, certificate: Certificate, facades: frozenset[str]
) -> RpcSecurity:
    """The gRPC security of a facade with this certificate, which knows facades by these names."""
    roles = {role: frozenset[str]() for role in RpcRole} | {RpcRole.FACADES: facades}
    return RpcSecurity(PemFiles(authority.ca, certificate.cert, certificate.key), roles)


async def take_copy(folder: Path, giver: RpcSecurity, taker: RpcSecurity) -> int:
    """Copies the state with one job from one facade to another; returns the copy's size."""
    store = open_store(folder / "old.sqlite")
    put(store, stored_job(1))
    new = folder / "new"
    new.mkdir()
    try:
        given = ReplicaService(store, IDENTITY, lambda: True)
        async with serve(giver, copies=given) as rpc:
            return await copies._copy_from(rpc.address, new / "replica.sqlite", IDENTITY, taker)
    finally:
        store.close()


@pytest.mark.parametrize("giver", ["facade-a", "facade-b", "facade-c"])
async def test_copy_from_facade_with_any_name_of_the_setting_succeeds(
    authority: Authority, tmp_path: Path, giver: str
) -> None:
    """Each facade's certificate may have a name of its own."""
    taker = security_of(authority, "facade-b")

    assert await take_copy(tmp_path, security_of(authority, giver), taker)
    assert read_file(tmp_path / "new" / "replica.sqlite")[0] == {stored_job(1).job.job_id}


async def test_copy_from_server_without_a_facades_name_is_not_taken(
    authority: Authority, tmp_path: Path
) -> None:
    """Its certificate is valid, but it may be an executor's, which could answer with any state."""
    giver, taker = security_of(authority, "executor"), security_of(authority, "facade-b")

    with pytest.raises(CopyError, match="certificate has no DNS name of FABRIC_JOBS_GRPC_FACADES"):
        await take_copy(tmp_path, giver, taker)
    assert [*(tmp_path / "new").iterdir()] == []


async def test_copy_to_client_without_the_facades_role_is_refused_at_once(
    authority: Authority, tmp_path: Path
) -> None:
    """The refusal of the right neighbour is not taken for a wrong name."""
    giver, taker = security_of(authority, "facade-c"), security_of(authority, "reader")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await take_copy(tmp_path, giver, taker)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_copy_where_facades_have_only_uri_names_verifies_the_address(
    authority: Authority, tmp_path: Path
) -> None:
    """The neighbour's certificate must then contain the host of its address, here 127.0.0.1."""
    facades = frozenset({"spiffe://example.org/facade"})
    giver = security_with(authority, authority.server(), facades)
    taker_certificate = authority.client("facade", dns=[], uri=[*facades])

    assert await take_copy(tmp_path, giver, security_with(authority, taker_certificate, facades))
