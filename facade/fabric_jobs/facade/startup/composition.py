"""Builds a replica from its parts, and runs it: three logs, one replica, two servers, one loop."""

import asyncio
import uuid

from fabric_jobs.facade.controls import Controls, JobTypes
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
    admission_rules,
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    monitor_access,
)
from fabric_jobs.runtime.telemetry import tracing


async def serve(settings: FacadeSettings) -> None:
    """Runs a replica until cancelled, then drains it. Prints one line once it is ready.

    Raises `SettingsError`, `AuthorityError`, `KafkaRefusedError`, `LogError` and `StateInUseError`.
    """
    tracing.enable()
    security = grpc_security(settings)
    http_host_port, grpc_host_port = http_address(settings), grpc_address(settings, security)
    access = monitor_access(settings)
    state_file = settings.state_file()
    authentication = authenticator(settings)
    if authentication:
        await authentication.keys.start()
    event_log = Log(settings, topics.events(settings))
    heartbeat_log = Log(settings, topics.heartbeats(settings))
    await event_log.connect()
    await heartbeat_log.connect()
    controls_log = Log(settings, topics.controls(settings))
    await controls_log.connect()
    store = Store(state_file)
    try:
        store.adopt(
            Identity(
                cluster_id=event_log.cluster_id,
                topic=settings.events_topic,
                partitions=event_log.partitions,
            )
        )
        replica = Replica(store)
        name = f"/fabric-jobs/facade/{uuid.uuid4()}"
        jobs = Jobs(event_log, replica, name, settings.append_deadline_s)
        record_time = settings.broker.record_time
        roster = Roster(heartbeat_log, name, settings.lease_s, record_time=record_time)
        controls = Controls(controls_log, settings.append_deadline_s)
        health = ReplicaHealth(event_log, roster)
        leases = Leases(
            heartbeat_log, jobs, replica.held_runs, roster.rank, health.ready, settings.lease_s
        )
        roster.listeners.add(leases.renew)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(event_log.run(replica), name="events log"),
                tasks.create_task(heartbeat_log.run(roster), name="heartbeats log"),
                tasks.create_task(controls_log.run(controls), name="controls log"),
                tasks.create_task(roster.run(), name="heartbeat"),
            ]
            if authentication:
                refresh = authentication.keys.run()
                background.append(tasks.create_task(refresh, name="key refresh"))
            await event_log.catch_up()
            # A replica that did not know of a pause would grant claims of a paused type.
            await controls.announce()
            await controls_log.catch_up()
            await replica.index_for_lists()
            rules = admission_rules(settings)
            app = http_app(
                Operations(jobs, AdmissionControl(authentication, rules, replica.has_room)),
                settings.base_path,
                settings.body_limit_bytes,
                health,
                settings.docs,
            )
            job_types = JobTypes(jobs, replica, roster, controls)
            monitor = None
            if access:
                monitor = Monitor(settings, access, jobs, replica, roster, job_types, health)
                app = monitor.mount_on(app)
            rpc = RpcServer(
                jobs, replica, roster, job_types, health.ready, *grpc_host_port, security
            )
            http = HttpServer(app, *http_host_port)
            timers = Timers(jobs, replica, roster, controls, health.ready)
            gauges = Gauges(event_log, replica, roster, health)
            background += [
                tasks.create_task(timers.run(), name="timers"),
                tasks.create_task(leases.run(), name="leases"),
                tasks.create_task(rpc.offers.run(), name="offers"),
                tasks.create_task(rpc.health.run(), name="gRPC health"),
                tasks.create_task(gauges.run(), name="gauges"),
            ]
            health.tasks = background
            await rpc.start()
            root = f"http://{http.address}"
            monitor_url = f" monitor={root}{PATH}" if monitor else ""
            ready = f"http={root}{settings.base_path} grpc={rpc.address}{monitor_url}"
            print(f"facade ready {ready}", flush=True)
            try:
                await http.serve()
            finally:
                # Requests in progress are answered while clients move to another replica.
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
