"""The delivery of a cancel to a handler."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fabric_jobs.executor import Job
from fabric_jobs.executor.runs.cancel_delivery import CancelDelivery
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import connect_runs, first_run, start_run
from tests.support.fake_facade import FakeFacade

#: Seconds that a loaded machine may take to end a task. A lost cancel would never end it.
END_S = 5
CANCELS = 300


def next_turn() -> asyncio.Future[None]:
    """Returns a future that is done at the loop's next turn."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    loop.call_soon(settle)
    return future


async def wait_often() -> None:
    """Uses `wait_for` in a loop. It has its result whenever a cancel comes at the wrong time."""
    while True:
        await asyncio.wait_for(next_turn(), 1)


async def await_tasks() -> None:
    """Waits for tasks, each of which uses `wait_for`."""
    while True:
        await asyncio.create_task(asyncio.wait_for(next_turn(), 1))


async def sleep_often() -> None:
    """Uses no `wait_for`."""
    while True:
        await asyncio.sleep(0)


@pytest.mark.parametrize("function", [wait_often, await_tasks, sleep_often])
async def test_randomly_timed_cancels_are_all_delivered(
    function: Callable[[], Awaitable[None]],
) -> None:
    """Without the repetition about two thirds of them are lost in `wait_for` of Python 3.11."""
    randomness = random.Random(1)
    for _ in range(CANCELS):
        delivery = CancelDelivery(function(), name="a handler")  # type: ignore[arg-type]
        for _ in range(randomness.randrange(20)):
            await asyncio.sleep(0)
        delivery.cancel()
        done, _ = await asyncio.wait({delivery.task}, timeout=END_S)

        assert done
        assert delivery.task.cancelled()


async def test_cancel_that_was_received_is_not_repeated_while_the_coroutine_cleans_up() -> None:
    """Neither in a `finally` block nor after an `except` block."""
    cleaned: list[str] = []

    async def clean_up_twice() -> None:
        try:
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(100):
                    await asyncio.wait_for(next_turn(), 1)
                cleaned.append("in the finally block")
        except asyncio.CancelledError:
            pass
        for _ in range(100):
            await asyncio.wait_for(next_turn(), 1)
        cleaned.append("after the except block")

    delivery = CancelDelivery(clean_up_twice(), name="a handler")
    await asyncio.sleep(0)
    delivery.cancel()
    await asyncio.wait({delivery.task}, timeout=END_S)

    assert cleaned == ["in the finally block", "after the except block"]


async def test_run_whose_handler_loops_over_wait_for_when_cancelled_reports_stopped(
    facade: FakeFacade,
) -> None:
    """The handler gets the cancel at once, and not only when its cancel grace is over."""

    async def handler(job: Job[Any]) -> None:
        await wait_often()

    async with connect_runs(facade, handler) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)

    assert facade.outcomes == ["stopped"]


async def test_runs_that_are_cancelled_at_random_times_all_report_stopped(
    facade: FakeFacade,
) -> None:
    """None waits for its cancel grace, which is longer than this test may take."""

    async def handler(job: Job[Any]) -> None:
        while True:
            await asyncio.wait_for(asyncio.sleep(0), 1)

    randomness = random.Random(2)
    async with connect_runs(facade, handler, slots=10) as runs:
        for number in range(10):
            job_ids = [f"{number}-{slot}" for slot in range(10)]
            await asyncio.gather(*(start_run(runs, job_id).wait() for job_id in job_ids))
            for job_id in job_ids:
                await asyncio.sleep(randomness.random() / 100)
                facade.send(pb.SessionResponse(cancels=[first_run(job_id)]))
            while runs.free_slots < 10:
                await runs.wait_for_freed_slot()

    assert facade.outcomes == ["stopped"] * 100
