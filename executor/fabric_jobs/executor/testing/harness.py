"""Runs one job from its creation to its end, with the executor's own code."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fabric_jobs.contract.definitions import ItemDefinition
from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE, find_run_timeout_fault
from fabric_jobs.contract.jobs import InvokeType, Progress
from fabric_jobs.contract.nesting import MAX_NESTING, is_too_deep
from fabric_jobs.executor.api import Executor
from fabric_jobs.executor.checkpoints import encode_checkpoint
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.errors import HelloRefusedError
from fabric_jobs.executor.event_loop import run_despite_exits
from fabric_jobs.executor.lifespan import Lifespan, open_resources
from fabric_jobs.executor.payloads import encode_payload
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.executor.testing.clock import SkippingLoop
from fabric_jobs.executor.testing.outcome import Outcome
from fabric_jobs.executor.testing.simulation import JobSimulation, make_test_token

R = TypeVar("R")

JOB_ID = "0b000000-0000-4000-8000-000000000001"
TENANT_ID = "0b000000-0000-4000-8000-000000000002"
WORKSPACE_ID = "0b000000-0000-4000-8000-000000000003"
ITEM_ID = "0b000000-0000-4000-8000-000000000004"


def run_job(
    executor: Executor[R],
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
    definition: ItemDefinition | None = None,
    resources: R | UnsetType = UNSET,
    checkpoint: object = UNSET,
    access_token: Callable[[str], str] | None = make_test_token,
    longest_life_s: float = DEFAULT_LONGEST_LIFE.total_seconds(),
) -> Outcome:
    """Runs a job in memory, with as many attempts as the handler's `retry` allows.

    `executor` is the object whose `@executor.job` registered the handler.
    `payload` is what Fabric sends: an object, such as a dict, a msgspec Struct or a pydantic model.
    It is encoded as JSON, and then decoded to the handler's payload type. The default is no
    payload.
    `cancel_when` is called with each progress that the handler reports. The job is cancelled when
    it first returns true.
    `cancel_after_s` cancels the job after that many seconds.
    `resources` becomes the handler's `job.resources`, and the executor's lifespan is not run. By
    default the lifespan runs around the job, as in an executor. A value of the test's own can't
    cross to another process, so a handler with `run_in="process"` runs in that of the test then.
    `access_token` is called with a scope and returns what `job.access_token` gives the handler, or
    raises an `AccessTokenError`. The default is a text that no resource accepts. `None`: the job
    has no user.
    `checkpoint` is what an earlier attempt saved. By default the first attempt has none.
    `longest_life_s` is the service's `FABRIC_JOBS_LONGEST_LIFE_S`. The default is 24 hours.
    The other parameters become the attributes of the handler's `Job`.

    The time between attempts is skipped, and so is the time for which an `async def` handler only
    waits. Real time passes in a `def` handler, during `asyncio.to_thread` or an asyncio process,
    while a socket is open, and, except between attempts, while another thread that the lifespan or
    the handler started is alive. Only the time of the event loop is skipped: `time.monotonic()` and
    `datetime.now()` show real time.

    Raises `ValueError` if every facade would refuse the payload, because it is no object or is
    nested too deeply, `HelloRefusedError` if the handler's `run_timeout_s` is beyond
    `longest_life_s`, `LookupError` if the executor has no handler for the job type,
    `LifespanError` if the lifespan fails to start, `AssertionError` if the handler ignores its
    cancels and does not end, `RuntimeError` if an event loop is running, and any exception that
    `cancel_when` raises.
    """
    handler = executor.handlers.get((item_type, job_type))
    if handler is None:
        known = ", ".join(map(" ".join, executor.handlers)) or "none"
        raise LookupError(
            f"There is no handler for {item_type} {job_type}. The executor's handlers: {known}."
        )
    timeout_s = handler.policy.run_timeout_s
    if fault := find_run_timeout_fault(item_type, job_type, timeout_s, longest_life_s):
        raise HelloRefusedError(fault)
    dispatched = DispatchedAttempt(
        job_id=job_id,
        attempt=1,
        tenant_id=tenant_id,
        workspace_id=workspace_id,
        item_type=item_type,
        item_id=item_id,
        job_type=job_type,
        invoke_type=invoke_type,
        payload=_encode_payload(payload),
        definition=msgspec.json.encode(definition) if definition else b"",
        checkpoint=None if checkpoint is UNSET else encode_checkpoint(checkpoint),
        activity_id=None,
        request_id=None,
        traceparent=None,
        earlier_traceparent=None,
        event_id="",
        partition=0,
        offset=0,
    )
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "run_job starts its own event loop. Call it from a plain `def` test, or, where a loop "
            "runs as in a notebook, by `await asyncio.to_thread(run_job, ...)`."
        )
    loop = SkippingLoop()
    try:
        lifespan: Lifespan[Any] | None = executor.lifespan
        if resources is not UNSET:
            lifespan = lambda: nullcontext(resources)  # noqa: E731
            handler = replace(handler, run_in=None, memory_limit_mb=None)
        simulation = JobSimulation(
            loop,
            handler,
            executor.lifespan,
            dispatched,
            cancel_when,
            longest_life_s,
            access_token,
        )
        return run_despite_exits(loop, _simulate(simulation, lifespan, cancel_after_s))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _encode_payload(payload: object) -> bytes:
    """Returns the payload as JSON. Raises `ValueError` if every facade would refuse it."""
    encoded = encode_payload(payload)
    if is_too_deep(encoded):
        raise ValueError(f"A payload has at most {MAX_NESTING} levels: facades refuse this one.")
    if encoded != b"null" and not encoded.startswith(b"{"):
        shown = encoded[:50].decode(errors="replace")
        raise ValueError(f"A payload is an object: facades refuse {shown}.")
    return encoded


async def _simulate(
    simulation: JobSimulation, lifespan: Lifespan[Any] | None, cancel_after_s: float | None
) -> Outcome:
    async with open_resources(lifespan, ExecutorSettings().lifespan_start_s) as resources:
        return await simulation.run(resources, cancel_after_s)
