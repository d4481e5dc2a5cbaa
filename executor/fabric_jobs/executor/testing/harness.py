"""Runs one job from its creation to its end, by the code that runs it in an executor."""

import asyncio
from collections.abc import Callable

import msgspec

from fabric_jobs.contract.jobs import InvokeType, Progress
from fabric_jobs.executor.api import Executor
from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.executor.testing.clock import SkippingLoop
from fabric_jobs.executor.testing.life import Life
from fabric_jobs.executor.testing.outcome import Outcome

JOB_ID = "0b000000-0000-4000-8000-000000000001"
TENANT_ID = "0b000000-0000-4000-8000-000000000002"
WORKSPACE_ID = "0b000000-0000-4000-8000-000000000003"
ITEM_ID = "0b000000-0000-4000-8000-000000000004"


def run_job(
    executor: Executor,
    item_type: str,
    job_type: str,
    payload: object = None,
    *,
    cancel_when: Callable[[Progress], bool] | None = None,
    cancel_after_s: float | None = None,
    job_id: str = JOB_ID,
    tenant_id: str = TENANT_ID,
    workspace_id: str = WORKSPACE_ID,
    item_id: str = ITEM_ID,
    invoke_type: InvokeType = InvokeType.MANUAL,
) -> Outcome:
    """What becomes of the job, once its handler has run to the end, as often as `retry` allows.

    `payload` is whatever JSON can say, and is decoded for the handler as ever. The job is cancelled
    when the handler first says a progress for which `cancel_when` is true, or after
    `cancel_after_s` seconds. Seconds for which an `async` handler only waits are skipped, and so
    are those between attempts. While it waits for `asyncio.to_thread`, a process of asyncio's or an
    open socket they pass as they do; what else it starts is not seen to be at work.

    Raises `LookupError` where there is no such handler, `AssertionError` where it goes on though it
    was cancelled again and again, `RuntimeError` within a running event loop, and what
    `cancel_when` raises.
    """
    handler = executor.handlers.get((item_type, job_type))
    if handler is None:
        known = ", ".join(map(" ".join, executor.handlers)) or "none"
        raise LookupError(f"There is no handler for {item_type} {job_type}; there is: {known}.")
    dispatched = Dispatched(
        job_id=job_id,
        attempt=1,
        tenant_id=tenant_id,
        workspace_id=workspace_id,
        item_type=item_type,
        item_id=item_id,
        job_type=job_type,
        invoke_type=invoke_type,
        payload=msgspec.json.encode(payload),
        activity_id=None,
        request_id=None,
        traceparent=None,
        earlier_traceparent=None,
        event_id="",
        partition=0,
        offset=0,
    )
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run_job has an event loop of its own: call it from a plain `def`.")
    loop = SkippingLoop()
    try:
        life = Life(loop, handler, dispatched, cancel_when)
        return loop.run_until_complete(life.live(cancel_after_s))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
