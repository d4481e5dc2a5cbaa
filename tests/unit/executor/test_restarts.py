"""Work that is restarted when it fails."""

import asyncio
import logging
from contextlib import suppress

import pytest

from fabric_jobs.executor import restarts
from fabric_jobs.executor.restarts import run_with_restarts
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError


class Work:
    """Work that fails this number of times, and then runs until it is cancelled."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.starts: list[float] = []
        self.healthy = asyncio.Event()

    async def __call__(self) -> None:
        """Fails, or runs until it is cancelled."""
        self.starts.append(asyncio.get_running_loop().time())
        if len(self.starts) <= self.failures:
            raise ConnectionError("The broker is away.")
        self.healthy.set()
        await asyncio.Event().wait()


async def run_until_healthy(work: Work) -> None:
    """Runs the work with restarts until it does not fail any more."""
    task = asyncio.create_task(run_with_restarts("intake", work))
    async with asyncio.timeout(10):
        await work.healthy.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_work_that_fails_is_restarted_until_it_succeeds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure is logged with its error and the wait before the restart."""
    monkeypatch.setattr(restarts, "MAX_BACKOFF_S", 0.01)
    work = Work(failures=20)
    with caplog.at_level(logging.WARNING):
        await run_until_healthy(work)

    assert len(work.starts) == 21
    assert caplog.messages[0].startswith("intake: The broker is away. Trying again in ")


async def test_work_that_fails_after_a_healthy_time_is_restarted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its earlier failures no longer lengthen the wait."""
    monkeypatch.setattr(restarts, "HEALTHY_S", 0)
    work = Work(failures=50)
    await run_until_healthy(work)

    assert work.starts[-1] - work.starts[0] < 1


async def test_work_that_kafka_refuses_is_not_restarted() -> None:
    """Kafka would refuse it again."""
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        raise KafkaRefusedError("not you")

    with pytest.raises(KafkaRefusedError, match="not you"):
        await run_with_restarts("intake", work)

    assert starts == 1
