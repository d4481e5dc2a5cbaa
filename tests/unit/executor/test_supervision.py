"""Work that is kept going."""

import asyncio
import logging
from contextlib import suppress

import pytest

from fabric_jobs.executor import supervision
from fabric_jobs.executor.supervision import supervise
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError


class Work:
    """Fails a number of times, and then goes on."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.begun: list[float] = []
        self.well = asyncio.Event()

    async def __call__(self) -> None:
        """Works."""
        self.begun.append(asyncio.get_running_loop().time())
        if len(self.begun) <= self.failures:
            raise ConnectionError("the broker is away")
        self.well.set()
        await asyncio.Event().wait()


async def until_well(work: Work) -> None:
    """Supervises the work until it does not fail any more."""
    supervising = asyncio.create_task(supervise("intake", work))
    async with asyncio.timeout(10):
        await work.well.wait()
    supervising.cancel()
    with suppress(asyncio.CancelledError):
        await supervising


async def test_what_fails_is_begun_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as it takes; each failure is logged with what it was."""
    monkeypatch.setattr(supervision, "MAX_BACKOFF_S", 0.01)
    work = Work(failures=20)
    with caplog.at_level(logging.WARNING):
        await until_well(work)

    assert len(work.begun) == 21
    assert caplog.messages[0].startswith("intake: the broker is away; again in")


async def test_what_was_well_for_a_while_begins_anew_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The backoff of its last trouble is forgotten."""
    monkeypatch.setattr(supervision, "STEADY_S", 0)
    work = Work(failures=50)
    await until_well(work)

    assert work.begun[-1] - work.begun[0] < 1


async def test_what_kafka_refuses_is_not_begun_again() -> None:
    """However long it was well: the same would come again."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        raise KafkaRefusedError("not you")

    with pytest.raises(KafkaRefusedError, match="not you"):
        await supervise("intake", work)

    assert begun == 1
