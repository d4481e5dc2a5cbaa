"""The composition of an executor: what runs, in which order it starts and stops."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from uuid import uuid4

from fabric_jobs.executor.intake import Intake
from fabric_jobs.executor.runs import Handlers, Runs
from fabric_jobs.executor.session import Session
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.executor.supervision import supervise
from fabric_jobs.executor.watchdog import watching
from fabric_jobs.runtime.channels import facade_tls
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError, client_arguments
from fabric_jobs.runtime.telemetry import tracing
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")


async def serve(
    handlers: Handlers,
    settings: ExecutorSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Runs jobs until `stop` is set, then drains.

    Where Kafka refuses it, it drains too, and then raises `KafkaRefusedError`. Raises
    `SettingsError` at once.
    """
    tracing.enable()
    client_arguments(settings)
    executor_id = "-".join(filter(None, (settings.executor_name, str(uuid4()))))
    hello = pb.Hello(
        executor_id=executor_id,
        pool=settings.pool,
        job_types=[
            pb.JobType(item_type=item_type, job_type=job_type) for item_type, job_type in handlers
        ],
        slots=settings.slots,
    )
    facades = settings.facade_addresses
    session = Session(hello, facades, settings.heartbeat_s, facade_tls(settings))
    refused: KafkaRefusedError | None = None
    async with watching(), _probed(settings.metrics_address), asyncio.TaskGroup() as group:
        runs = Runs(handlers, session, settings.slots, group)
        intake = Intake(settings, executor_id, runs)
        connection = group.create_task(
            supervise("session", lambda: session.connect(runs)), name="session"
        )

        async def consume() -> None:
            nonlocal refused
            try:
                await supervise("intake", intake.consume)
            except KafkaRefusedError as error:
                log.error("intake: %s", error)
                refused = error
                stop.set()  # the runs that are held may still end

        consumption = group.create_task(consume(), name="intake")

        async def announce() -> None:
            await session.connected.wait()
            await intake.assigned.wait()
            on_ready(executor_id)

        announcement = group.create_task(announce(), name="ready")
        await stop.wait()
        announcement.cancel()
        # The partitions move to others at once, while the runs that are held may still end.
        consumption.cancel()
        await runs.drain(settings.drain_s)
        await asyncio.wait({consumption})
        # Last: it carries the reports of the runs that ended.
        connection.cancel()
    if refused:
        raise refused


def _probed(address: str | None) -> AbstractAsyncContextManager[None]:
    if address is None:
        return nullcontext()
    from fabric_jobs.executor.probes import answering  # needs the extra `otel`

    return answering(address)
