"""Appends of events, and the commands that wait for their outcomes."""

import asyncio
import uuid
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.jobs.appends import Append, Appends
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.turns import Turns
from fabric_jobs.facade.lifecycle import Verdict
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica.replica import Outcome
from tests.support.lifecycle import decide_event, request, stamp


@pytest.fixture
def append() -> Append:
    """An append that was handed to Kafka and is not read back."""
    command = request(str(uuid.uuid4()))
    event = decide_event(None, command, stamp("event"))
    assert isinstance(event, KnownEvent)
    return Append(command, None, event)


async def test_append_one_waiter_cancelled_leaves_the_others_waiting(append: Append) -> None:
    """A cancelled command leaves the append to the next one."""
    first, second = (asyncio.create_task(append.outcome()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    append.resolve(outcome := (Verdict.LOST, None))

    assert await second == outcome
    assert await append.outcome() == outcome


async def test_append_refused_by_kafka_has_an_unknown_outcome_until_it_is_read_back(
    append: Append,
) -> None:
    """The event may be on the log all the same."""
    waiting: asyncio.Task[Outcome] = asyncio.create_task(append.outcome())
    await asyncio.sleep(0)
    acknowledgement: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    acknowledgement.cancel()
    append.acknowledge(acknowledgement)
    with pytest.raises(UnavailableError) as raised:
        await waiting
    append.resolve((Verdict.LOST, None))

    assert raised.value.reason is UnavailableReason.OUTCOME_UNKNOWN
    assert await append.outcome() == (Verdict.LOST, None)


async def test_appends_event_that_the_log_does_not_take_is_not_expected_any_more(
    append: Append,
) -> None:
    """The replica would keep the callback of an event that never comes."""
    expected = dict[str, object]()
    replica: Any = Mock(expect=expected.__setitem__, forget=expected.__delitem__)
    log: Any = Mock(topic="events", append=AsyncMock(side_effect=LogUnavailableError("no")))
    with pytest.raises(LogUnavailableError):
        await Appends(log, replica, Turns()).append(append, 0)

    log.append.assert_awaited_once()
    assert expected == {}


async def test_appends_event_without_an_outcome_is_not_expected_any_more(append: Append) -> None:
    """Kafka may refuse many records, and few of their events come all the same."""
    expected = dict[str, object]()
    replica: Any = Mock(expect=expected.__setitem__, forget=expected.__delitem__)
    refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    refused.cancel()
    log: Any = Mock(topic="events", append=AsyncMock(return_value=refused))
    with pytest.raises(UnavailableError):
        await Appends(log, replica, Turns()).append(append, 0)

    assert expected == {}
