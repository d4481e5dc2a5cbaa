"""An append, and who waits for its outcome."""

import asyncio
import uuid

import pytest

from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.jobs.appends import Append
from fabric_jobs.facade.lifecycle import Verdict
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica.replica import Outcome
from tests.support.lifecycle import decide_event, request, stamp


@pytest.fixture
def append() -> Append:
    """One that was handed over a moment ago."""
    command = request(str(uuid.uuid4()))
    event = decide_event(None, command, stamp("event"))
    assert isinstance(event, KnownEvent)
    return Append(command, None, event)


async def test_who_leaves_ends_the_wait_of_nobody_else(append: Append) -> None:
    """A cancelled command leaves the append to the one behind it."""
    first, second = (asyncio.create_task(append.outcome()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    append.read_back(outcome := (Verdict.LOST, None))

    assert await second == outcome
    assert await append.outcome() == outcome


async def test_an_append_that_kafka_did_not_take_may_be_done(append: Append) -> None:
    """So whoever waits is told that it can't be known; what is read back after all, is."""
    waiting: asyncio.Task[Outcome] = asyncio.create_task(append.outcome())
    await asyncio.sleep(0)
    gone: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    gone.cancel()
    append.acknowledged(gone)
    with pytest.raises(LogUnavailableError):
        await waiting
    append.read_back((Verdict.LOST, None))

    assert await append.outcome() == (Verdict.LOST, None)
