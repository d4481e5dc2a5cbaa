"""The composition: one log, one replica, two servers, in one loop."""

import asyncio
import uuid

from facade import topics
from facade.entrance import admission, authenticator, grpc_address, grpc_security, http_address
from facade.http import Door, HttpServer, Operations, http_app
from facade.jobs import Jobs
from facade.keeper import Keeper
from facade.leases import Leases
from facade.log import Log
from facade.replica import Identity, Replica, Store
from facade.roster import Roster
from facade.rpc import RpcServer
from facade.settings import FacadeSettings

#: How old the last sight of the log's end may be for a replica to be sent requests, in seconds.
READY_S = 30.0


async def serve(settings: FacadeSettings) -> None:
    """Runs a replica until cancelled, then drains it; prints one line once it is ready.

    Raises `SettingsError`, `AuthorityError`, `KafkaRefusedError`, `LogError` and `StateInUseError`.
    """
    security = grpc_security(settings)
    http_at, grpc_at = http_address(settings), grpc_address(settings, security)
    state_file = settings.state_file()
    trusted = authenticator(settings)
    if trusted:
        await trusted.keys.start()
    the_log = Log(settings, topics.events(settings))
    beats = Log(settings, topics.heartbeats(settings))
    await the_log.connect()
    await beats.connect()
    store = Store(state_file)
    try:
        store.adopt(
            Identity(
                cluster_id=the_log.cluster_id,
                topic=settings.events_topic,
                partitions=the_log.partitions,
            )
        )
        replica = Replica(store)
        name = f"/fabric-jobs/facade/{uuid.uuid4()}"
        jobs = Jobs(the_log, replica, name, settings.append_deadline_s)
        record_time = settings.broker.record_time
        roster = Roster(beats, name, settings.lease_s, record_time=record_time)
        draining = asyncio.Event()

        def ready() -> bool:
            caught_up = the_log.confirmed_within(READY_S)
            return caught_up and roster.clock_is_right and not draining.is_set()

        leases = Leases(beats, jobs, replica.running, roster.rank, ready, settings.lease_s)
        roster.listeners.add(leases.hear)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(the_log.run(replica), name="run the log"),
                tasks.create_task(beats.run(roster), name="run the heartbeats"),
                tasks.create_task(roster.run(), name="be heard of"),
            ]
            if trusted:
                refreshing = trusted.keys.run()
                background.append(tasks.create_task(refreshing, name="refresh the keys"))
            await the_log.catch_up()
            app = http_app(
                Operations(jobs, Door(trusted, admission(settings), replica.unfinished)),
                settings.base_path,
                settings.body_limit_bytes,
                ready=ready,
                docs=settings.docs,
            )
            rpc = RpcServer(jobs, replica, roster, ready, *grpc_at, security)
            http = HttpServer(app, *http_at)
            keeper = Keeper(jobs, replica, roster, ready)
            background += [
                tasks.create_task(keeper.run(), name="keep the times"),
                tasks.create_task(leases.run(), name="keep the leases"),
                tasks.create_task(rpc.offers.run(), name="offer what waits"),
                tasks.create_task(rpc.health.run(), name="tell of health"),
            ]
            await rpc.start()
            url = f"http://{http.address}{settings.base_path}"
            print(f"facade ready http={url} grpc={rpc.address}", flush=True)
            try:
                await http.serve()
            finally:
                # What has been asked is answered, while everybody goes to another replica.
                draining.set()
                await rpc.drain()
                await asyncio.sleep(settings.unready_s)
                await http.stop()
                await rpc.stop()
                for task in background:
                    task.cancel()
    finally:
        store.close()
