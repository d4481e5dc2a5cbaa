"""Handlers that mypy checks and that no test runs: what the types of the public API allow.

Each `type: ignore` marks a mistake that mypy must find. If mypy does not find it, mypy reports the
comment as unused, and `make check` fails. Every other line must have no error.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, assert_type

import msgspec
import pydantic

from fabric_jobs.executor import ErrorSource, Executor, Job, JobFailed, Retry
from fabric_jobs.executor.testing import run_job

executor = Executor()


class Refresh(msgspec.Struct):
    """A payload type."""

    region: str


@executor.job("Item", "async", retry=Retry(max_attempts=3), run_timeout_s=60, slots=2)
async def refresh(job: Job[Refresh]) -> None:
    """A correct handler, except for one attribute."""
    await job.progress(0.5, job.payload.region)
    job.payload.regoin  # type: ignore[attr-defined] # noqa: B018


@executor.job("Item", "def")
def fail(job: Job[Any]) -> None:
    """A correct handler, except for two errors with a wrong source."""
    match job.payload:
        case 1:
            raise JobFailed("No.", source="User")
        case 2:
            raise JobFailed("No.", source=ErrorSource.EXTERNAL, permanent=True)
        case 3:
            raise JobFailed("No.", source="Userr")  # type: ignore[arg-type]
        case _:
            raise JobFailed(code="NoMessage")  # type: ignore[call-arg]


@executor.job("Item", "payload")  # type: ignore[arg-type]
def takes_the_payload(payload: Refresh) -> None:
    """A handler with a wrong argument."""


@executor.job("Item", "two")  # type: ignore[arg-type]
def takes_two(job: Job[Any], more: int) -> None:
    """A handler with an argument too many."""


class Export(pydantic.BaseModel):
    """A payload type of pydantic's."""

    rows: int


@executor.job("Item", "pydantic")
async def export(job: Job[Export]) -> None:
    """The payload has the model's type."""
    assert_type(job.payload, Export)


executor.job("Item", "retry", retry=Retry(attempts=3))  # type: ignore[call-arg]
executor.job("Item", "slots", slots="2")  # type: ignore[arg-type]
executor.job("Item", "timeout", timeout_s=60)  # type: ignore[call-arg]


async def call_directly(job: Job[Refresh]) -> None:
    """The decorator keeps the type of the function."""
    await refresh(job)
    await refresh(1)  # type: ignore[arg-type]


@executor.job("Item", "result")  # type: ignore[type-var]
async def returns_a_result(job: Job[Any]) -> int:
    """A handler that returns a value, which nobody would get."""
    return job.attempt


@executor.job("Item", "def result")  # type: ignore[type-var]
def returns_a_result_in_a_thread(job: Job[Any]) -> int:
    """A `def` handler that returns a value."""
    return job.attempt


class Pool:
    """What a lifespan opens."""


@asynccontextmanager
async def open_pool() -> AsyncIterator[Pool]:
    """A lifespan."""
    yield Pool()


with_pool = Executor(lifespan=open_pool)


@with_pool.job("Item", "pool")
def use_pool(job: Job[Refresh, Pool]) -> None:
    """A handler that uses the lifespan's value."""
    assert_type(job.resources, Pool)


@with_pool.job("Item", "no pool")
async def use_no_pool(job: Job[Refresh]) -> None:
    """A handler that does not use the lifespan's value has no type for it."""
    assert_type(job.resources, object)


@with_pool.job("Item", "other pool")  # type: ignore[arg-type]
def use_other(job: Job[Refresh, Refresh]) -> None:
    """A handler that expects another value than the lifespan's."""


@executor.job("Item", "missing pool")  # type: ignore[arg-type]
def use_missing(job: Job[Refresh, Pool]) -> None:
    """A handler that expects a value of an executor without a lifespan."""


def check_resources() -> None:
    """The kit takes a value of the lifespan's type."""
    run_job(with_pool, "Item", "pool", resources=Pool())
    run_job(with_pool, "Item", "pool", resources=1)  # type: ignore[misc]


def check_outcome() -> None:
    """The outcome of `run_job` is typed."""
    outcome = run_job(executor, "Item", "async", cancel_when=lambda progress: progress.fraction > 0)
    assert outcome.status == "Completed"
    assert outcome.state  # type: ignore[attr-defined]
