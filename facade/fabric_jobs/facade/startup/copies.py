"""Gives a new replica its state: a copy of a neighbour's, so that it need not read the whole log.

Any failure leaves the replica without a state, so that it reads the log from its beginning.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc

from fabric_jobs.facade.clock import Clock
from fabric_jobs.facade.log import Log, LogError, RecordCodes
from fabric_jobs.facade.replica import Identity, Store
from fabric_jobs.facade.replica.state_copy import INCOMING, CopyError, IncomingFile
from fabric_jobs.facade.replica.state_file import discard
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc import RpcRole, RpcSecurity
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.runtime.channels import is_name_mismatch, open_channel
from fabric_jobs.runtime.settings import (
    SettingsError,
    address_of,
    host_port,
    is_loopback,
    variable,
)
from fabric_jobs.status.v1 import replica_pb2 as pb
from fabric_jobs.status.v1.replica_pb2_grpc import ReplicaServiceStub

log = logging.getLogger("fabric_jobs.facade")

#: The neighbours that are asked for a copy, one after the other.
MAX_NEIGHBOURS = 3
#: Seconds that the heartbeats may take to be read.
HEARTBEATS_TIMEOUT_S = 10.0
#: Seconds that a neighbour may take for the next part of a copy, and for all of it.
PART_TIMEOUT_S = 10.0
COPY_TIMEOUT_S = 600.0


async def open_store(
    settings: FacadeSettings,
    identity: Identity,
    codes: RecordCodes | None,
    security: RpcSecurity | None,
    *,
    takes_copy: bool,
) -> Store:
    """The store of this replica. A new one has a neighbour's state, if there is a neighbour.

    With `takes_copy` false, a new one is empty. Raises what `Store` raises.
    """
    path = settings.state_file()
    store = _adopt(path, settings, identity)
    if path is None or store.checkpoints() or not takes_copy or not _may_copy(security):
        return store
    store.close()
    await _take_copy(settings, path, identity, codes, security)
    return _adopt(path, settings, identity)


def advertised_address(settings: FacadeSettings, bound: str, security: RpcSecurity | None) -> str:
    """Where other facades may take a copy of this one's state; empty if they may not.

    `bound` is the address that the gRPC server is bound to.
    """
    if settings.state_dir is None or not _may_copy(security):
        return ""
    if settings.grpc_advertised_address:
        return settings.grpc_advertised_address
    host, _ = host_port(bound)
    return "" if host in ("0.0.0.0", "::") else bound  # noqa: S104 - it is compared, not bound


def _may_copy(security: RpcSecurity | None) -> bool:
    """Whether facades can know each other: by their certificates, or because all are here."""
    return security is None or bool(security.names[RpcRole.FACADES])


def _adopt(path: Path | None, settings: FacadeSettings, identity: Identity) -> Store:
    store = Store(path, settings.lifetime)
    try:
        store.adopt(identity)
    except BaseException:
        store.close()
        raise
    return store


async def _take_copy(
    settings: FacadeSettings,
    path: Path,
    identity: Identity,
    codes: RecordCodes | None,
    security: RpcSecurity | None,
) -> None:
    """Puts a neighbour's state in the place of this replica's; logs why if there is none."""
    discard(path.with_name(INCOMING))
    try:
        addresses = await _find_neighbours(settings, codes)
    except (LogError, TimeoutError) as error:
        log.warning("the heartbeats can't be read (%r): the whole log is read", error)
        return
    for address in addresses[:MAX_NEIGHBOURS]:
        try:
            begun = time.monotonic()
            size = await _copy_from(address, path, identity, security)
        except grpc.aio.AioRpcError as error:
            log.warning("no state from %s: %s %s", address, error.code().name, error.details())
        except (CopyError, OSError, SettingsError) as error:
            log.warning("no state from %s: %s", address, str(error) or type(error).__name__)
        else:
            seconds = time.monotonic() - begun
            log.info("the state is a copy of %s: %d bytes in %.1f s", address, size, seconds)
            return
    log.info("no other facade has given its state: the whole log is read")


async def _find_neighbours(settings: FacadeSettings, codes: RecordCodes | None) -> Sequence[str]:
    """The addresses of the facades that give copies now."""
    heartbeat_log = Log(settings, topics.heartbeats(settings), codes)
    record_time, life_s = settings.broker.record_time, settings.longest_life_s
    roster = Roster(heartbeat_log, Clock(), "", settings.lease_s, life_s, record_time=record_time)
    async with asyncio.timeout(HEARTBEATS_TIMEOUT_S):
        await heartbeat_log.connect()
        reading = asyncio.create_task(heartbeat_log.run(roster), name="read heartbeats")
        catching_up = asyncio.create_task(heartbeat_log.catch_up(), name="catch up")
        try:
            await asyncio.wait([reading, catching_up], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, catching_up):
                task.cancel()
            await asyncio.wait([reading, catching_up])
    if not reading.cancelled():
        reading.result()  # raises the error that ended the reading
    return roster.peers.copy_addresses()


async def _copy_from(
    address: str, path: Path, identity: Identity, security: RpcSecurity | None
) -> int:
    """Takes the neighbour's file, verifies it and installs it; returns its size in bytes."""
    host, port = host_port(address)
    target = address_of(host, port)
    if security is None:
        if not is_loopback(host):
            raise CopyError("Without mutual TLS, a neighbour must be on loopback.")
        return await _copy_over(open_channel(target, None, ()), path, identity)
    for options in _expected_names(security):
        try:
            channel = open_channel(target, security.files, options)
            return await _copy_over(channel, path, identity)
        except grpc.aio.AioRpcError as error:
            if not is_name_mismatch(error):
                raise
    raise CopyError(f"Its certificate has no DNS name of {variable('grpc_facades')}.")


def _expected_names(security: RpcSecurity) -> Sequence[Sequence[tuple[str, str]]]:
    """The options of the channels to try: each expects one DNS name of a facade.

    A pod's address is in no certificate, and gRPC can expect one name at a time. If facades have
    no DNS names, the only channel expects the host of the neighbour's address.
    """
    names = sorted(name for name in security.names[RpcRole.FACADES] if "://" not in name)
    return [[("grpc.ssl_target_name_override", name)] for name in names] or [[]]


async def _copy_over(channel: grpc.aio.Channel, path: Path, identity: Identity) -> int:
    """Takes the copy over this channel, which is then closed; returns its size in bytes."""
    async with channel:
        stub = ReplicaServiceStub(channel)  # type: ignore[no-untyped-call]
        request = pb.CopyReplicaRequest(identity=identity.digest())
        parts = aiter(stub.CopyReplica(request, timeout=COPY_TIMEOUT_S))
        first = await _next_part(parts)
        incoming = IncomingFile(path.parent, first.size)
        try:
            while (part := await _next_part(parts)).WhichOneof("part") == "chunk":
                incoming.write(part.chunk)
            await asyncio.to_thread(incoming.finish, part.checksum, identity)
            incoming.install(path)
        finally:
            incoming.discard()
    return first.size


async def _next_part(
    parts: AsyncIterator[pb.CopyReplicaResponse],
) -> pb.CopyReplicaResponse:
    """The next part of a copy. Raises `CopyError` if there is none, and `TimeoutError`."""
    async with asyncio.timeout(PART_TIMEOUT_S):
        part = await anext(parts, None)
    if part is None:
        raise CopyError("The copy ended before its checksum.")
    return part
