"""Composes an executor from its parts, and starts and stops them in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib.metadata import version
from typing import Any
from uuid import uuid4

from fabric_jobs.contract.wire import policy_to_proto
from fabric_jobs.executor.dispatch.intake import Intake
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue
from fabric_jobs.executor.errors import HelloRefusedError, LifespanError
from fabric_jobs.executor.lifespan import Lifespan, open_resources
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.restarts import run_with_restarts
from fabric_jobs.executor.runs.log_tail import enable_own_logger
from fabric_jobs.executor.runs.runs import Handlers, Runs
from fabric_jobs.executor.runs.watchdog import watch_event_loop
from fabric_jobs.executor.session.session import Session
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.runtime.channels import facade_tls
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")

#: Seconds after which an executor that has not joined its consumer group says so.
JOIN_TIMEOUT_S = 30.0


async def serve(
    handlers: Handlers,
    lifespan: Lifespan[Any] | None,
    settings: ExecutorSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Runs jobs until `stop` is set, then drains.

    The lifespan is entered before the first claim, and left after the last run has ended.

    Raises `SettingsError` at once if a setting is wrong, `HandlerDefinitionError` if a handler
    can't run in a process although its definition says so, and `LifespanError` if the lifespan
    fails to start. If a facade or Kafka refuses the executor, or if the lifespan ends by itself, it
    drains, and then raises `HelloRefusedError`, `KafkaRefusedError` or `LifespanError`.
    """
    tracing.enable()
    client_arguments(settings)
    executor_id = "-".join(filter(None, (settings.executor_name, str(uuid4()))))
    hello = pb.Hello(
        executor_id=executor_id,
        pool=settings.pool,
        job_types=[
            pb.JobType(
                item_type=item_type,
                job_type=job_type,
                slots=handler.slots or 0,
                priority=handler.priority or 0,
                run_timeout=policy_to_proto(handler.policy).run_timeout
                if handler.policy.run_timeout_s
                else None,
            )
            for (item_type, job_type), handler in handlers.items()
        ],
        slots=settings.slots,
        version=f"fabric-jobs {version('fabric-jobs')}",
    )
    facades = settings.facade_addresses
    session = Session(hello, facades, settings.heartbeat_s, facade_tls(settings))
    failure: HelloRefusedError | KafkaRefusedError | LifespanError | None = None
    runs: Runs | None = None

    def end_with_lifespan(error: LifespanError) -> None:
        nonlocal failure
        log.error("%s. No more jobs are started", error, exc_info=error.__cause__)
        failure = error
        stop.set()

    async with (
        # First, so that `/livez` answers while the lifespan starts.
        _serve_probes(settings.metrics_address, lambda: runs.unhealthy_reasons() if runs else []),
        open_resources(lifespan, settings.lifespan_start_s, end_with_lifespan) as resources,
        _start_processes(handlers, lifespan, settings) as processes,
        # Not around the lifespan, which may block the loop: there are no runs then.
        watch_event_loop(),
        asyncio.TaskGroup() as group,
    ):
        enable_own_logger()
        ready = ReadyQueue(settings.read_ahead_jobs, settings.read_ahead_bytes)
        runs = Runs(handlers, session, settings.slots, ready, group, processes, resources)
        intake = Intake(settings, executor_id, runs, ready)

        async def hold_session() -> None:
            nonlocal failure
            try:
                await run_with_restarts("session", lambda: session.connect(runs))
            except HelloRefusedError as error:
                failure = error
                stop.set()

        connection = group.create_task(hold_session(), name="session")

        async def consume() -> None:
            nonlocal failure
            try:
                await run_with_restarts("intake", intake.consume)
            except KafkaRefusedError as error:
                log.error("intake: %s", error)
                failure = error
                stop.set()  # not raised here, because it would cancel the running handlers

        consumption = group.create_task(consume(), name="intake")

        async def announce() -> None:
            await session.connected.wait()
            try:
                async with asyncio.timeout(JOIN_TIMEOUT_S):
                    await intake.assigned.wait()
            except TimeoutError:
                log.warning(
                    "intake: the consumer group %s was not joined for %.0f s, so jobs start by "
                    "offers only, half a second late. Check the broker, and the other members of "
                    "the group",
                    settings.pool,
                    JOIN_TIMEOUT_S,
                )
                await intake.assigned.wait()
            on_ready(executor_id)

        announcement = group.create_task(announce(), name="ready")
        await stop.wait()
        announcement.cancel()
        # The consumer leaves the group first, so that other executors get its partitions while the
        # running handlers end.
        consumption.cancel()
        # Without a session, no handler's result can be reported, so none is waited for.
        await runs.drain(0 if isinstance(failure, HelloRefusedError) else settings.drain_s)
        await asyncio.wait({consumption})
        # The session is closed last, because it carries the reports of the runs.
        connection.cancel()
    if failure:
        raise failure


@asynccontextmanager
async def _start_processes(
    handlers: Handlers, lifespan: Lifespan[Any] | None, settings: ExecutorSettings
) -> AsyncIterator[ProcessPool]:
    processes = ProcessPool(lifespan, settings.lifespan_start_s)
    await processes.check(handlers.values())
    try:
        yield processes
    finally:
        await processes.close()


def _serve_probes(
    address: str | None, unhealthy_reasons: Callable[[], list[str]]
) -> AbstractAsyncContextManager[None]:
    if address is None:
        return nullcontext()
    # Imported only if it is used, because it needs the extra `otel`.
    from fabric_jobs.executor.probes import serve_probes

    return serve_probes(address, unhealthy_reasons)
