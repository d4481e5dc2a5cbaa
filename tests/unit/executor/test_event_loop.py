"""The event loop of an executor process."""

import asyncio
import gc
import logging
import sys

from fabric_jobs.executor.event_loop import new_event_loop
from fabric_jobs.runtime.telemetry.logs import bind_ids, bound_ids


def test_error_of_a_forgotten_task_is_logged_without_the_ids_of_the_job_that_runs_meanwhile() -> (
    None
):
    """The task is found when the garbage of its job is collected, while another job runs."""
    found: list[tuple[str, str | None]] = []

    class Ids(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert record.exc_info
            found.append((str(record.exc_info[1]), bound_ids().get("job")))

    async def fail() -> None:
        raise ValueError("of the first job")

    async def run_jobs() -> None:
        with bind_ids(job="first"):
            task = asyncio.create_task(fail())
        await asyncio.wait({task})
        with bind_ids(job="second"):
            del task
            gc.collect()

    logger = logging.getLogger("asyncio")
    logger.addHandler(ids := Ids())
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run_jobs())
    finally:
        logger.removeHandler(ids)

    assert found == [("of the first job", "first" if sys.version_info >= (3, 12) else None)]
