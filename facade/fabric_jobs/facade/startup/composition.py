"""Builds a replica from its parts, and runs it: its logs, one replica, two servers, one loop."""

import asyncio
import logging
import uuid
from contextlib import suppress

from fabric_jobs.facade.clock import MAX_LEAD, Clock
from fabric_jobs.facade.controls import Controls, JobTypes
from fabric_jobs.facade.http import AdmissionControl, HttpServer, Operations, http_app
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import Command, Request
from fabric_jobs.facade.log import Log, TopicError
from fabric_jobs.facade.maintenance.attention import Attention
from fabric_jobs.facade.maintenance.leases import Leases
from fabric_jobs.facade.maintenance.timers import Timers
from fabric_jobs.facade.monitor import PATH, Monitor
from fabric_jobs.facade.observability.gauges import Gauges
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Identity, Replica, StateDamagedError
from fabric_jobs.facade.replica.state_file import StateFailure, discard
from fabric_jobs.facade.roster import WRITE_TIMEOUT_S, Roster
from fabric_jobs.facade.rpc import ReplicaService, RpcServer
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.facade.startup.binding import explain_binding
from fabric_jobs.facade.startup.certificates import CertificateWatch
from fabric_jobs.facade.startup.copies import advertised_address, open_store
from fabric_jobs.facade.startup.on_behalf_of import (
    OnBehalfOfParts,
    connect_on_behalf_of,
    run_on_behalf_of,
)
from fabric_jobs.facade.startup.openid import openid_sign_in
from fabric_jobs.facade.startup.security import (
    admission_rules,
    authenticator,
    grpc_address,
    grpc_security,
    http_address,
    http_limits,
    job_secrets,
    monitor_access,
    record_codes,
)
from fabric_jobs.runtime.settings import variable
from fabric_jobs.runtime.telemetry import tracing

log = logging.getLogger("fabric_jobs.facade")


async def serve(settings: FacadeSettings) -> None:
    """Runs a replica until cancelled, then drains it. Prints one line once it is ready.

    A replica whose state file is damaged ends, and another one begins without it.
    Raises `SettingsError`, `AuthorityError`, `KafkaRefusedError`, `LogError`, `StateError` and
    `StateInUseError`.
    """
    tracing.enable()
    damages = 0
    while True:
        try:
            # A second damage may be that of the neighbour's file.
            return await _serve_once(settings, takes_copy=damages < 2)
        except* StateDamagedError as damage:
            state_file = settings.state_file()
            assert state_file
            damages += 1
            log.error("%s It is deleted, and built again.", _first_error(damage))
            discard(state_file)
        if (task := asyncio.current_task()) and task.cancelling():
            # The damage was found while the replica stopped: the next start builds the file.
            raise asyncio.CancelledError


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve_once(settings: FacadeSettings, *, takes_copy: bool) -> None:
    security = grpc_security(settings)
    http_host_port, grpc_host_port = http_address(settings), grpc_address(settings, security)
    people = openid_sign_in(settings)
    access = monitor_access(settings, people)
    clock = Clock()
    codes = record_codes(settings, clock.now)
    secrets = job_secrets(settings)
    authentication = authenticator(settings)
    if authentication:
        await authentication.keys.start()
    event_log = Log(settings, topics.events(settings), codes)
    heartbeat_log = Log(settings, topics.heartbeats(settings), codes)
    await event_log.connect()
    await heartbeat_log.connect()
    controls_log = Log(settings, topics.controls(settings))
    await controls_log.connect()
    identity = Identity(
        cluster_id=event_log.cluster_id,
        topic=settings.events_topic,
        partitions=event_log.partitions,
        longest_life_s=settings.longest_life_s,
        record_rules=codes.rules if codes else "",
    )
    store = await open_store(settings, identity, codes, security, takes_copy=takes_copy)
    tokens: OnBehalfOfParts | None = None
    try:
        replica = Replica(store, event_log.partitions)
        is_new = not replica.checkpoints()
        replica.on_fork = event_log.reread
        name = f"/fabric-jobs/facade/{uuid.uuid4()}"
        record_time = settings.broker.record_time
        lease_s, life_s = settings.lease_s, settings.longest_life_s
        roster = Roster(heartbeat_log, clock, name, lease_s, life_s, record_time=record_time)
        deadline_s = settings.append_deadline_s
        jobs = Jobs(
            event_log,
            replica,
            name,
            deadline_s,
            secrets,
            lambda command: command_fault(command, roster),
            clock.now,
        )
        controls = Controls(controls_log, deadline_s)
        tokens = await connect_on_behalf_of(settings, codes, replica, roster)
        health = ReplicaHealth(event_log, roster)
        attention = Attention(heartbeat_log, health.ready)
        leases = Leases(
            heartbeat_log, jobs, replica.held_runs, roster.peers.rank, attention, lease_s, clock.now
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
            background.append(tasks.create_task(_raise_failure(store.failure), name="state file"))
            if tokens:
                background += [
                    tasks.create_task(tokens.grants_log.run(tokens.grants), name="grants log"),
                    tasks.create_task(run_on_behalf_of(tokens, settings), name="grants"),
                ]
            await event_log.catch_up()
            if is_new and event_log.refuses_all_records:
                replica.reset()  # a later start must read the log again
                raise TopicError(_explain_refused(settings))
            # A replica that did not know of a pause would grant claims of a paused type.
            await controls.announce()
            await controls_log.catch_up()
            if tokens:
                await tokens.grants.announce()
                await tokens.grants_log.catch_up()
            # The replica is attentive before it answers, so that the deadlines of the jobs that it
            # accepts fire in time.
            await heartbeat_log.catch_up()
            with suppress(TimeoutError):  # without the broker's time, the replica is not ready
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await clock.wait_until_confirmed()
            attention.look()
            await replica.index_for_lists()
            rules = admission_rules(settings)
            app = http_app(
                Operations(
                    jobs,
                    AdmissionControl(authentication, rules, jobs.has_room),
                    tokens.on_behalf_of if tokens else None,
                ),
                settings.base_path,
                settings.body_limit_bytes,
                settings.definition_limit_bytes,
                health,
                settings.docs,
            )
            job_types = JobTypes(jobs, replica, roster, controls)
            monitor = None
            if access:
                monitor = Monitor(
                    settings,
                    access,
                    people,
                    jobs,
                    replica,
                    roster,
                    job_types,
                    health,
                    event_log.accepts,
                )
                app = monitor.mount_on(app)
            copies = ReplicaService(store, identity, health.ready)
            with explain_binding(settings, "grpc_address"):
                rpc = RpcServer(
                    jobs,
                    replica,
                    roster,
                    job_types,
                    copies,
                    health.ready,
                    *grpc_host_port,
                    security,
                    tokens.on_behalf_of if tokens else None,
                )
            copy_address = advertised_address(settings, rpc.address, security)
            roster.peers.copy_address = lambda: copy_address if health.ready() else ""
            with explain_binding(settings, "http_address"):
                http = HttpServer(app, *http_host_port, http_limits(settings))
            timers = Timers(jobs, replica, roster, controls, leases, attention, lease_s)
            certificates = CertificateWatch(
                settings, rpc.certificates, tokens.client.credential if tokens else None
            )
            gauges = Gauges(
                event_log,
                heartbeat_log,
                replica,
                roster,
                controls,
                health,
                certificates.find_unusable,
                certificates.find_life_left,
                tokens.grants if tokens else None,
            )
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
        if tokens:
            tokens.client.close()


def command_fault(command: Command, roster: Roster) -> UnavailableError | None:
    """Why this facade can't append the event of a command that is decided now; None if it can.

    The event has the broker's time. An event whose time is days ahead makes replicas forget jobs.
    """
    if roster.clock.is_far_behind:
        return UnavailableError(
            UnavailableReason.CLOCK_WRONG,
            f"The broker's clock is over {MAX_LEAD.days} day ahead of this facade's clock. Set the "
            "clock that is wrong.",
        )
    return create_fault(roster) if isinstance(command, Request) else None


def create_fault(roster: Roster) -> UnavailableError | None:
    """Why a job that this facade creates would have wrong deadlines; None if it would not."""
    if not (roster.clock.is_confirmed and roster.clock.is_right):
        return UnavailableError(
            UnavailableReason.CLOCK_WRONG,
            "This facade's clock differs from the broker's, or was not compared with it yet. Ask "
            "another facade.",
        )
    if roster.peers.conflict:
        return UnavailableError(
            UnavailableReason.LONGEST_LIFE_DIFFERS,
            "This facade's longest life of a job is not that of the service. Ask another facade.",
        )
    return None


def _explain_refused(settings: FacadeSettings) -> str:
    return (
        f"No record of {settings.events_topic} has a right code of {variable('record_keys')}. Use "
        "the keys that the other facades have. If the topic was in use before there were keys, "
        f"set {variable('record_codes')}=accept until its retention has passed."
    )


async def _raise_failure(failure: StateFailure) -> None:
    """Raises the first failure of the state file, so that the replica ends."""
    # Shielded, because the end of this task must not cancel what the store uses to its own end.
    await asyncio.shield(asyncio.wrap_future(failure.future))
