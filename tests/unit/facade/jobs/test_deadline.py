"""The time limit of commands: as `asyncio.timeout` has it, for many at once."""

import asyncio

import pytest

from fabric_jobs.facade.jobs.deadline import Deadline

SOON_S = 0.01
FAR_S = 3600


async def test_what_is_late_ends_with_a_timeout() -> None:
    """Each that is, one after the other; the task goes on, and is cancelled by nobody."""
    deadline, ended = Deadline(SOON_S), list[int]()

    async def wait(number: int) -> None:
        await asyncio.sleep(number * SOON_S / 10)
        with pytest.raises(TimeoutError), deadline.limit():
            await asyncio.Event().wait()
        ended.append(number)
        task = asyncio.current_task()
        assert task
        assert not task.cancelling()

    await asyncio.gather(*map(wait, range(5)))

    assert ended == [*range(5)]


async def test_what_is_in_time_is_left_alone() -> None:
    """Also when the timer that was set for it comes; and what began later still ends in time."""
    deadline = Deadline(SOON_S)
    with deadline.limit():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline.limit():
        await asyncio.Event().wait()
    # And once nothing was under way at all.
    with pytest.raises(TimeoutError), deadline.limit():
        await asyncio.Event().wait()


async def test_an_error_is_passed_on() -> None:
    """It is the block's own."""
    with pytest.raises(KeyError), Deadline(FAR_S).limit():
        raise KeyError


@pytest.mark.parametrize("late", [False, True])
async def test_who_is_cancelled_is_cancelled(*, late: bool) -> None:
    """By somebody else, also where the block is late in the same turn of the loop."""
    limit = Deadline(FAR_S).limit()
    entered = asyncio.Event()

    async def wait() -> None:
        with limit:
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    if late:
        limit.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
