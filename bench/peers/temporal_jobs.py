"""FastAPI and Temporal: the workflow, its one activity, and the worker."""

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bench"


@activity.defn
async def nothing(sent: int) -> None:
    """Completes at once."""


@workflow.defn
class RunJob:
    """The workflow of a job."""

    @workflow.run
    async def run(self, sent: int) -> None:
        """Run one activity; Temporal records its end and the workflow's."""
        await workflow.execute_activity(nothing, sent, start_to_close_timeout=timedelta(minutes=1))


async def connected() -> Client:
    """A client of the server."""
    return await Client.connect(os.environ["BENCH_BACKEND"])


async def work() -> None:
    """Run the worker."""
    slots = int(os.environ["BENCH_SLOTS"])
    worker = Worker(
        await connected(),
        task_queue=QUEUE,
        workflows=[RunJob],
        activities=[nothing],
        max_concurrent_activities=slots,
    )
    print("worker ready", flush=True)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(work())
