"""Progress on its way out."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor import Job, progress
from fabric_jobs.executor.progress import ProgressFeed


class Sent:
    """What a feed has sent; the first is held up until the test lets it go."""

    def __init__(self) -> None:
        self.values: list[Progress] = []
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, progress: Progress) -> None:
        """Sends one."""
        self.values.append(progress)
        self.begun.set()
        await self.let_go.wait()


def job(report: Callable[[Progress], None]) -> Job[Any]:
    """A job that reports there."""
    return Job(
        payload=None,
        job_id="id",
        attempt=1,
        item_type="Item",
        job_type="job",
        workspace_id="w",
        item_id="i",
        tenant_id="t",
        _report=report,
    )


async def test_the_latest_wins_and_one_is_in_flight() -> None:
    """What comes while one is sent is not queued; the last is sent at the end."""
    sent = Sent()
    feed = ProgressFeed(sent)
    feed.put(Progress(0.1))
    await sent.begun.wait()
    for step in range(2, 10):
        feed.put(Progress(step / 10))
    sent.let_go.set()
    await feed.close()

    assert sent.values == [Progress(0.1), Progress(0.9)]


async def test_one_a_second_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next waits for its time, or for the end of the run."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.2)
    sent = Sent()
    sent.let_go.set()
    feed = ProgressFeed(sent)
    clock = asyncio.get_running_loop().time
    feed.put(Progress(0.1))
    await sent.begun.wait()
    sent.begun.clear()
    began = clock()
    feed.put(Progress(0.2))
    await sent.begun.wait()
    elapsed = clock() - began
    await feed.close()

    assert sent.values == [Progress(0.1), Progress(0.2)]
    assert elapsed > 0.15


async def test_a_run_that_says_nothing_sends_nothing() -> None:
    """Its feed has no task, and just ends."""
    sent = Sent()
    await ProgressFeed(sent).close()

    assert sent.values == []


async def test_after_its_interval_without_progress_the_next_is_sent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task that sent the last one is over by then."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0)
    sent = Sent()
    sent.let_go.set()
    feed = ProgressFeed(sent)
    for step in (0.1, 0.2):
        feed.put(Progress(step))
        await sent.begun.wait()
        sent.begun.clear()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    assert sent.values == [Progress(0.1), Progress(0.2)]


async def test_what_is_put_into_a_feed_that_was_cancelled_is_not_sent() -> None:
    """As by a thread that was left to itself."""
    sent = Sent()
    feed = ProgressFeed(sent)
    feed.put(Progress(0.1))
    await sent.begun.wait()
    feed.put(Progress(0.2))
    feed.cancel()
    feed.put(Progress(0.3))
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    assert sent.values == [Progress(0.1)]


async def test_a_thread_that_says_much_wakes_the_event_loop_once() -> None:
    """A tight loop in a sync handler must not fill the loop with calls."""
    sent = Sent()
    sent.let_go.set()
    feed = ProgressFeed(sent)
    loop = asyncio.get_running_loop()
    wakes = []
    call_soon_threadsafe = loop.call_soon_threadsafe

    def count(callback: Callable[..., object], *args: Any) -> object:
        wakes.append(callback)
        return call_soon_threadsafe(callback, *args)

    loop.call_soon_threadsafe = count  # type: ignore[method-assign, assignment]

    def say_much() -> None:
        for step in range(10_001):
            feed.put(Progress(step / 10_000))

    thread = threading.Thread(target=say_much)
    thread.start()
    thread.join()
    del loop.call_soon_threadsafe
    await feed.close()

    assert len(wakes) == 1
    assert sent.values == [Progress(1)]


def test_progress_after_the_executor_has_ended_is_no_error() -> None:
    """A thread may outlive the event loop."""

    async def make() -> ProgressFeed:
        return ProgressFeed(Sent())

    asyncio.run(make()).put(Progress(0.5))


@pytest.mark.parametrize(
    ("said", "kept"), [(0.5, 0.5), (1.0000000002, 1), (50, 1), (-1, 0), (float("nan"), 0)]
)
def test_progress_is_kept_between_0_and_1(said: float, kept: float) -> None:
    """It fails no job."""
    reported: list[Progress] = []
    job(reported.append).progress(said, "text")

    assert reported == [Progress(kept, "text")]


async def test_awaiting_progress_gives_others_a_turn() -> None:
    """An `async` handler that only computes lets heartbeats through where it reports."""
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "other")
    await job(lambda progress: None).progress(0.5)

    assert turns == ["other"]
