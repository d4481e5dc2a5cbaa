"""The bounds on what a replica has under way."""

import asyncio
import uuid
from typing import Any

import pytest

from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.turns import MAX_COMMANDS_OF_A_JOB
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.log import LogUnavailableError


class Away:
    """A log whose end is never read, and a replica that knows no job."""

    partitions = 4

    async def read_to_end(self) -> None:
        """Takes for ever."""
        await asyncio.Event().wait()

    def get(self, job_id: str) -> Any:
        """Nothing."""


@pytest.fixture
def away() -> Jobs:
    """Commands that wait for a log that does not come."""
    log = Away()
    return Jobs(log, log, "/test", 60.0)  # type: ignore[arg-type]


async def begun(waiting: Jobs, *job_ids: str) -> list[asyncio.Task[Any]]:
    """A command for each, under way."""
    tasks = [
        asyncio.create_task(waiting.execute(RequestCancel(job_id=job_id))) for job_id in job_ids
    ]
    await asyncio.sleep(0)
    return tasks


async def ended(tasks: list[asyncio.Task[Any]]) -> None:
    """Those who asked leave."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_job_has_so_many_commands_under_way_and_no_more(away: Jobs) -> None:
    """The next one is told at once; another job's is not concerned, and there is room again."""
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    tasks = await begun(away, *[one] * MAX_COMMANDS_OF_A_JOB)
    with pytest.raises(LogUnavailableError, match="again after a moment"):
        await away.execute(RequestCancel(job_id=one))
    tasks += await begun(away, other)
    assert not tasks[-1].done()
    await ended(tasks)
    (again,) = await begun(away, one)

    assert not again.done()
    await ended([again])


async def test_a_replica_has_so_many_commands_under_way_and_no_more(
    away: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whichever jobs."""
    monkeypatch.setattr(turns, "MAX_COMMANDS", 10)
    tasks = await begun(away, *(str(uuid.uuid4()) for _ in range(10)))
    with pytest.raises(LogUnavailableError, match="Too many commands"):
        await away.execute(RequestCancel(job_id=str(uuid.uuid4())))

    await ended(tasks)
