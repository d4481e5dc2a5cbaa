"""The composition: one log, one replica, two servers, in one loop."""

import asyncio
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from litestar.types import ASGIApp

from facade.entrance import admission, authenticator, grpc_address, http_address
from facade.http import Door, Operations, http_app
from facade.jobs import Jobs
from facade.keeper import Keeper
from facade.leases import Leases
from facade.log import Log, TopicSpec
from facade.replica import Identity, Replica, Store
from facade.rpc import RpcServer
from facade.settings import (
    EVENT_REST_BYTES,
    HEARTBEAT_BYTES,
    HEARTBEATS_RETENTION_MS,
    MIN_RETENTION_MS,
    RETENTION_MS,
    FacadeSettings,
)

#: How old the last sight of the log's end may be for a replica to be sent requests, in seconds.
READY_S = 30.0
#: How long a stopping replica waits for answers that are being written, in seconds.
HTTP_GRACE_S = 5


async def serve(settings: FacadeSettings) -> None:
    """Runs a replica until cancelled; prints one line once it is ready.

    Raises `SettingsError`, `AuthorityError`, `LogError` and `StateInUseError`.
    """
    http_host, http_port = http_address(settings)
    grpc_host, grpc_port = grpc_address(settings)
    trusted = authenticator(settings)
    if trusted:
        await trusted.keys.start()
    the_log, beats = Log(settings, _events(settings)), Log(settings, _heartbeats(settings))
    await the_log.connect()
    await beats.connect()
    store = Store(settings.state_dir / "replica.sqlite" if settings.state_dir else None)
    try:
        store.adopt(
            Identity(
                cluster_id=the_log.cluster_id,
                topic=settings.events_topic,
                partitions=the_log.partitions,
            )
        )
        replica = Replica(store)
        source = f"/fabric-jobs/facade/{uuid.uuid4()}"
        jobs = Jobs(the_log, replica, source, settings.append_deadline_s)
        ready = partial(the_log.confirmed_within, READY_S)
        app = http_app(
            Operations(jobs, Door(trusted, admission(settings), replica.unfinished)),
            settings.base_path,
            settings.body_limit_bytes,
            ready=ready,
            docs=settings.docs,
        )
        async with asyncio.TaskGroup() as tasks:
            leases = Leases(beats, jobs, replica.running, settings.lease_s)
            background = [
                tasks.create_task(the_log.run(replica), name="run the log"),
                tasks.create_task(beats.run(leases), name="run the heartbeats"),
            ]
            if trusted:
                refreshing = trusted.keys.run()
                background.append(tasks.create_task(refreshing, name="refresh the keys"))
            await the_log.catch_up()
            background += [
                tasks.create_task(Keeper(jobs, replica, ready).run(), name="keep the times"),
                tasks.create_task(leases.run(), name="keep the leases"),
            ]
            with socket.create_server((http_host, http_port)) as listening:
                rpc = RpcServer(jobs, replica, leases, grpc_host, grpc_port)
                await rpc.start()
                port = listening.getsockname()[1]
                url = f"http://{http_host}:{port}{settings.base_path}"
                print(f"facade ready http={url} grpc={rpc.address}", flush=True)
                try:
                    await _serve_http(app, listening)
                finally:
                    await rpc.stop()
                    for task in background:
                        task.cancel()
    finally:
        store.close()


def _events(settings: FacadeSettings) -> TopicSpec:
    return TopicSpec(
        name=settings.events_topic,
        partitions=settings.events_partitions,
        exact_partitions=True,
        min_retention_ms=MIN_RETENTION_MS,
        retention_ms=RETENTION_MS,
        max_record_bytes=settings.body_limit_bytes + EVENT_REST_BYTES,
        create=settings.create_topics,
    )


def _heartbeats(settings: FacadeSettings) -> TopicSpec:
    return TopicSpec(
        name=settings.heartbeats_topic,
        partitions=1,
        exact_partitions=False,
        min_retention_ms=int(settings.lease_s * 1000),
        retention_ms=HEARTBEATS_RETENTION_MS,
        max_record_bytes=HEARTBEAT_BYTES,
        create=settings.create_topics,
    )


async def _serve_http(app: ASGIApp, listening: socket.socket) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=HTTP_GRACE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="serve HTTP")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        # Cancelled, uvicorn would cut the answers that are being written.
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the program has one way to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
