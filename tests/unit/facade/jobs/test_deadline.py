"""The time limit of commands, which behaves as `asyncio.timeout` does."""

import asyncio

import pytest

from fabric_jobs.facade.jobs.deadline import Deadline

SOON_S = 0.01
FAR_S = 3600


async def test_deadline_several_late_blocks_each_end_with_a_timeout() -> None:
    """They end in their order, and their tasks are not cancelled afterwards."""
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


async def test_deadline_block_in_time_is_not_cancelled_and_a_later_one_still_is() -> None:
    """The timer of the first block finds nothing late, and is set for the next block."""
    deadline = Deadline(SOON_S)
    with deadline.limit():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline.limit():
        await asyncio.Event().wait()
    # The timer is set again after a time without any block.
    with pytest.raises(TimeoutError), deadline.limit():
        await asyncio.Event().wait()


async def test_deadline_error_in_a_block_is_raised() -> None:
    """A time limit that is not over changes no error."""
    with pytest.raises(KeyError), Deadline(FAR_S).limit():
        raise KeyError


@pytest.mark.parametrize("late", [False, True])
async def test_deadline_task_cancelled_by_another_stays_cancelled(*, late: bool) -> None:
    """The block may be late in the same turn of the event loop."""
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
