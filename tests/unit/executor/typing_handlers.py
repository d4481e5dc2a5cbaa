"""Handlers that mypy checks and that no test runs: what the types of the public API allow.

Each `type: ignore` marks a mistake that mypy must find. If mypy does not find it, mypy reports the
comment as unused, and `make check` fails. Every other line must have no error.
"""

from typing import Any, assert_type

import msgspec

from fabric_jobs.executor import ErrorSource, Executor, Job, JobFailed, Retry
from fabric_jobs.executor.testing import run_job

executor = Executor()


class Refresh(msgspec.Struct):
    """A payload type."""

    region: str


@executor.job("Item", "async", retry=Retry(max_attempts=3), run_timeout_s=60, slots=2)
async def refresh(job: Job[Refresh]) -> int:
    """A correct handler, except for one attribute."""
    await job.progress(0.5, job.payload.region)
    job.payload.regoin  # type: ignore[attr-defined] # noqa: B018
    return job.attempt


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


@executor.job("Item", "payload")  # type: ignore[type-var]
def takes_the_payload(payload: Refresh) -> None:
    """A handler with a wrong argument."""


@executor.job("Item", "two")  # type: ignore[type-var]
def takes_two(job: Job[Any], more: int) -> None:
    """A handler with an argument too many."""


executor.job("Item", "retry", retry=Retry(attempts=3))  # type: ignore[call-arg]
executor.job("Item", "slots", slots="2")  # type: ignore[arg-type]
executor.job("Item", "timeout", timeout_s=60)  # type: ignore[call-arg]


async def call_directly(job: Job[Refresh]) -> None:
    """The decorator keeps the type of the function."""
    assert_type(await refresh(job), int)


def check_outcome() -> None:
    """The outcome of `run_job` is typed."""
    outcome = run_job(executor, "Item", "async", cancel_when=lambda progress: progress.fraction > 0)
    assert outcome.status == "Completed"
    assert outcome.state  # type: ignore[attr-defined]
