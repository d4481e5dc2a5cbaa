"""The turns of the queries that read many rows."""

import asyncio
from concurrent.futures import Future

import pytest

from fabric_jobs.facade.replica import StateError
from fabric_jobs.facade.replica.query_turns import QueryTurns


class SlowStore:
    """A store whose queries end when a test says so."""

    def __init__(self) -> None:
        self.begun: list[Future[int]] = []

    def query(self) -> Future[int]:
        """Begins a query, as a writer's thread does at once if it has no other work."""
        answer: Future[int] = Future()
        answer.set_running_or_notify_cancel()
        self.begun.append(answer)
        return answer


async def settle() -> None:
    """Lets the event loop do what is ready."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_query_begins_after_the_end_of_the_earlier_one() -> None:
    """Each query gets its own answer."""
    store, turns = SlowStore(), QueryTurns()
    asking = [asyncio.create_task(turns.ask(store.query)) for _ in range(3)]
    for number in range(3):
        await settle()
        assert len(store.begun) == number + 1
        store.begun[number].set_result(number)

    assert await asyncio.gather(*asking) == [0, 1, 2]


async def test_query_whose_caller_is_cancelled_keeps_its_turn_until_its_end() -> None:
    """The writer's thread can't be stopped in the middle of a query."""
    store, turns = SlowStore(), QueryTurns()
    first, second = (asyncio.create_task(turns.ask(store.query)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert len(store.begun) == 1
    store.begun[0].set_result(0)
    await settle()
    store.begun[1].set_result(1)

    assert await second == 1


async def test_query_that_the_store_refuses_ends_its_turn() -> None:
    """The error reaches the caller, and the next query begins."""

    def refuse() -> Future[int]:
        raise StateError("The file is gone.")

    store, turns = SlowStore(), QueryTurns()
    with pytest.raises(StateError):
        await turns.ask(refuse)
    asking = asyncio.create_task(turns.ask(store.query))
    await settle()
    store.begun[0].set_result(7)

    assert await asking == 7
