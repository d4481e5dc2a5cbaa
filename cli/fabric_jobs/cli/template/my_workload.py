"""The job handlers of my-workload."""

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from fabric_jobs.executor import Executor, Job, JobFailed, Retry

executor = Executor()


class Refresh(msgspec.Struct):
    """The creation payload. A payload that does not match fails the job before the handler runs."""

    table: Annotated[str, Meta(min_length=1)] = "sales"
    parts: Annotated[int, Meta(ge=1)] = 5


@executor.job("Contoso.MyWorkload.Item", "refresh", retry=Retry(max_attempts=3), run_timeout_s=600)
async def refresh(job: Job[Refresh]) -> None:
    """Refreshes a table, part by part. Each part must be idempotent, because a retry repeats it."""
    if job.payload.table == "locked":
        raise JobFailed(
            "The table is locked. Unlock it, and start the job again.",
            code="TableLocked",
            source="User",
            permanent=True,
        )
    for part in range(job.payload.parts):
        await job.progress(part / job.payload.parts, f"{job.payload.table}, part {part + 1}")
        await asyncio.sleep(1)  # the work
