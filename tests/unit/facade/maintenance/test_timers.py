"""What is fired when a time is over, and what is not."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.facade.lifecycle import Command, Job, Retry
from fabric_jobs.facade.maintenance import timers
from fabric_jobs.facade.maintenance.timers import Timers
from fabric_jobs.facade.replica import StoredJob
from tests.support.lifecycle import JOB, WAYS, drive


class World:
    """A replica that found a job due, and jobs that remember what was asked of them."""

    def __init__(self, way: str) -> None:
        made_now = drive(WAYS[way])
        state = replace(made_now.state, create_time=datetime.now(UTC))
        self.job: Job = replace(made_now, state=state)
        self.asked: list[Command] = []
        self.looked = asyncio.Event()
        self._looks = 0

    def due_job_ids(self, now: datetime, limit: int) -> Sequence[str]:
        """The job, at the first look; at the second, what came of the first is done."""
        self._looks += 1
        if self._looks == 2:
            self.looked.set()
        return [JOB] if self._looks == 1 else []

    def rank(self) -> int:
        """The first: it fires at once."""
        return 0

    def get(self, job_id: str) -> StoredJob:
        """The job as it is now."""
        return StoredJob(self.job, partition=0, offset=0, first_ms=0)

    async def execute(self, command: Command) -> Any:
        """Remembers the command."""
        self.asked.append(command)
        return self.get(command.job_id)


async def fired(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """What the keeper asked after one look."""
    monkeypatch.setattr(timers, "TICK_S", 0)
    running = asyncio.create_task(Timers(world, world, world, lambda: True).run())  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await world.looked.wait()
    running.cancel()
    return world.asked


async def test_a_backoff_that_is_over_is_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting job's next attempt is asked for."""
    asked = await fired(World("waiting"), monkeypatch)

    assert asked == [Retry(job_id=JOB, attempt=1)]


async def test_a_job_that_went_on_since_it_was_found_due_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another replica fired its retry first: what is due next, its end of life, is a day away."""
    assert await fired(World("queued again"), monkeypatch) == []
