"""The composition: one log, one replica, two servers, in one loop."""

import asyncio
import uuid

from fabric_jobs.facade.http import AdmissionControl, HttpServer, Operations, http_app
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.maintenance.leases import Leases
from fabric_jobs.facade.maintenance.timers import Timers
from fabric_jobs.facade.monitor import PATH, Monitor
from fabric_jobs.facade.observability.gauges import Gauges
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Identity, Replica, Store
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc import RpcServer
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.security import (
    admission,
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    monitor_access,
)
from fabric_jobs.runtime.telemetry import tracing


async def serve(settings: FacadeSettings) -> None:
    """Runs a replica until cancelled, then drains it; prints one line once it is ready.

    Raises `SettingsError`, `AuthorityError`, `KafkaRefusedError`, `LogError` and `StateInUseError`.
    """
    tracing.turn_on()
    security = grpc_security(settings)
    http_at, grpc_at = http_address(settings), grpc_address(settings, security)
    seen_by = monitor_access(settings)
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
        health = ReplicaHealth(the_log, roster)
        leases = Leases(beats, jobs, replica.held_runs, roster.rank, health.ready, settings.lease_s)
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
            await replica.index_for_lists()
            app = http_app(
                Operations(jobs, AdmissionControl(trusted, admission(settings), replica.has_room)),
                settings.base_path,
                settings.body_limit_bytes,
                health,
                settings.docs,
            )
            monitor = None
            if seen_by:
                monitor = Monitor(settings, seen_by, jobs, replica, roster, health)
                app = monitor.beside(app)
            rpc = RpcServer(jobs, replica, roster, health.ready, *grpc_at, security)
            http = HttpServer(app, *http_at)
            keeper = Timers(jobs, replica, roster, health.ready)
            gauges = Gauges(the_log, replica, roster, health)
            background += [
                tasks.create_task(keeper.run(), name="keep the times"),
                tasks.create_task(leases.run(), name="keep the leases"),
                tasks.create_task(rpc.offers.run(), name="offer what waits"),
                tasks.create_task(rpc.health.run(), name="tell of health"),
                tasks.create_task(gauges.run(), name="look at the gauges"),
            ]
            health.tasks = background
            await rpc.start()
            root = f"http://{http.address}"
            seen_at = f" monitor={root}{PATH}" if monitor else ""
            ready = f"http={root}{settings.base_path} grpc={rpc.address}{seen_at}"
            print(f"facade ready {ready}", flush=True)
            try:
                await http.serve()
            finally:
                # What has been asked is answered, while everybody goes to another replica.
                health.drain()
                if monitor:
                    monitor.stop()
                await rpc.drain()
                await asyncio.sleep(settings.unready_s)
                await http.stop()
                await rpc.stop()
                for task in background:
                    task.cancel()
    finally:
        store.close()
