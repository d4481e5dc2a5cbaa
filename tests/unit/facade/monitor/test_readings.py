"""A reading of a job's events that Kafka keeps waiting, and who comes meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fabric_jobs.facade.monitor import timeline
from fabric_jobs.facade.monitor.timeline import WAITS
from fabric_jobs.runtime.kafka.history import EventBatch
from tests.support.monitor import Fold, browser, monitor


class Silence:
    """Reads nothing, until it is over."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, *_: Any) -> AsyncIterator[EventBatch]:
        self.begun.set()
        await self.over.wait()
        yield EventBatch(0, [])


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    """In place of a job's history."""
    silence = Silence()
    monkeypatch.setattr(timeline, "history", silence)
    return silence


async def test_a_reading_that_hangs_is_given_up(
    silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And makes room for the next."""
    monkeypatch.setattr(timeline, "LONGEST_S", 0.01)
    fold = Fold()
    path = f"/monitor/jobs/{fold.create()}/events"
    async with browser(monitor(fold)[1]) as client:
        for _ in range(2):
            assert "Kafka gave no answer (TimeoutError)" in (await client.get(path)).text


async def test_a_page_does_not_wait_for_another_reading(silence: Silence) -> None:
    """It says that there is one."""
    fold = Fold()
    path = f"/monitor/jobs/{fold.create()}/events"
    async with browser(monitor(fold)[1]) as client:
        first = asyncio.create_task(client.get(path))
        await silence.begun.wait()
        assert WAITS in (await client.get(path)).text
        silence.over.set()
        assert WAITS not in (await first).text
