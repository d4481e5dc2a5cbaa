"""Runs that are connected to a fake facade, and handlers for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from fabric_jobs.executor import Job
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt, attempt_from_event
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue
from fabric_jobs.executor.handlers import Handler, make_handler
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.restarts import run_with_restarts
from fabric_jobs.executor.runs.runs import Runs
from fabric_jobs.executor.session.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import (
    ITEM_TYPE,
    JOB_TYPE,
    WAIT_TIMEOUT_S,
    FakeFacade,
    requested_event,
)

Function = Callable[[Job[Any]], object]


@asynccontextmanager
async def connect_runs(
    facade: FakeFacade,
    handler: Function | Handler,
    *,
    slots: int = 2,
    type_slots: int | None = None,
    heartbeat_s: float = 0.05,
    processes: ProcessPool | None = None,
) -> AsyncIterator[Runs]:
    """Connects runs to the facade: of this handler for `JOB_TYPE`, and of `endless` for `other`."""
    if not isinstance(handler, Handler):
        handler = make_handler(ITEM_TYPE, JOB_TYPE, handler, slots=type_slots)
    processes = processes or ProcessPool()
    session = Session(pb.Hello(executor_id="one"), [facade.address], heartbeat_s)
    async with asyncio.timeout(2 * WAIT_TIMEOUT_S), asyncio.TaskGroup() as group:
        handlers = {
            (ITEM_TYPE, JOB_TYPE): handler,
            (ITEM_TYPE, "other"): make_handler(ITEM_TYPE, "other", endless),
        }
        runs = Runs(handlers, session, slots, ReadyQueue(100, 1_000_000), group, processes)
        connection = group.create_task(run_with_restarts("session", lambda: session.connect(runs)))
        try:
            yield runs
        finally:
            await processes.close()
        connection.cancel()


def dispatched_attempt(
    job_id: str, payload: bytes = b"{}", job_type: str = JOB_TYPE
) -> DispatchedAttempt:
    """Returns the first attempt of a job, as if it was read from the topic."""
    event = requested_event(job_id, payload, job_type=job_type)
    found = attempt_from_event(event, 0, 0)
    assert found is not None
    return found


def put(runs: Runs, dispatched: DispatchedAttempt) -> asyncio.Event:
    """Puts an attempt into the ready queue. The event is set when its claim is decided."""
    decided = asyncio.Event()
    runs.put(dispatched, datetime.now(UTC), decided.set)
    return decided


def start_run(runs: Runs, job_id: str, payload: bytes = b"{}") -> asyncio.Event:
    """Starts a run if a slot is free. The event is set when its claim is granted or refused."""
    decided = put(runs, dispatched_attempt(job_id, payload))
    runs.start_ready()
    return decided


async def run_to_end(runs: Runs, dispatched: DispatchedAttempt) -> None:
    """Runs an attempt until its slot is free again, or until another run has ended."""
    freed = asyncio.create_task(runs.wait_for_freed_slot())
    await asyncio.sleep(0)
    put(runs, dispatched)
    runs.start_ready()
    await freed


def offer(job_id: str, item_type: str = ITEM_TYPE) -> pb.Offer:
    """Returns the offer of a job's first attempt."""
    job = pb.Job(job_id=job_id, attempt=1, item_type=item_type, job_type=JOB_TYPE)
    return pb.Offer(job=job, record=pb.Record(event_id=job_id), payload=b"null")


def first_run(job_id: str) -> pb.Run:
    """Returns the message that names the run of a job's first attempt."""
    return pb.Run(job_id=job_id, attempt=1)


async def quick(job: Job[Any]) -> None:
    """A handler that completes at once."""


async def endless(job: Job[Any]) -> None:
    """A handler that runs until it is cancelled."""
    await asyncio.Event().wait()


async def must_not_run(job: Job[Any]) -> None:
    """A handler that fails the test if it is called."""
    raise AssertionError("it was called")


def make_stubborn(may_end: asyncio.Event, ignored_cancels: int) -> Function:
    """Returns a handler that ignores this number of cancels, and ends when the event is set."""

    async def handler(job: Job[Any]) -> None:
        for _ in range(ignored_cancels):
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        await may_end.wait()

    return handler
