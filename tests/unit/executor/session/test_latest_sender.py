"""How the progress of a run is sent."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor.session import latest_sender
from fabric_jobs.executor.session.latest_sender import LatestSender


class SentProgress:
    """The progress that was sent. Sending takes until the test sets `may_end`."""

    def __init__(self) -> None:
        self.values: list[Progress] = []
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, progress: Progress) -> None:
        """Sends a progress."""
        self.values.append(progress)
        self.began.set()
        await self.may_end.wait()


async def test_progress_put_during_a_send_is_replaced_by_later_progress() -> None:
    """Only one progress is in flight. The last one is sent when the sender is closed."""
    sent = SentProgress()
    sender = LatestSender(sent)
    sender.put(Progress(0.1))
    await sent.began.wait()
    for step in range(2, 10):
        sender.put(Progress(step / 10))
    sent.may_end.set()
    await sender.close()

    assert sent.values == [Progress(0.1), Progress(0.9)]


async def test_progress_put_soon_after_a_send_waits_for_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At most one progress is sent in each interval, which is a second outside this test."""
    monkeypatch.setattr(latest_sender, "MIN_INTERVAL_S", 0.2)
    sent = SentProgress()
    sent.may_end.set()
    sender = LatestSender(sent)
    clock = asyncio.get_running_loop().time
    sender.put(Progress(0.1))
    await sent.began.wait()
    sent.began.clear()
    began = clock()
    sender.put(Progress(0.2))
    await sent.began.wait()
    elapsed = clock() - began
    await sender.close()

    assert sent.values == [Progress(0.1), Progress(0.2)]
    assert elapsed > 0.15


async def test_sender_closed_without_progress_sends_nothing() -> None:
    """It has no task, and ends at once."""
    sent = SentProgress()
    await LatestSender(sent).close()

    assert sent.values == []


async def test_progress_put_after_an_idle_interval_is_sent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task that sent the previous progress has ended, so a new task is started."""
    monkeypatch.setattr(latest_sender, "MIN_INTERVAL_S", 0)
    sent = SentProgress()
    sent.may_end.set()
    sender = LatestSender(sent)
    for step in (0.1, 0.2):
        sender.put(Progress(step))
        await sent.began.wait()
        sent.began.clear()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    assert sent.values == [Progress(0.1), Progress(0.2)]


async def test_progress_put_before_or_after_a_cancel_is_not_sent() -> None:
    """A thread whose run is over may still report progress."""
    sent = SentProgress()
    sender = LatestSender(sent)
    sender.put(Progress(0.1))
    await sent.began.wait()
    sender.put(Progress(0.2))
    sender.cancel()
    sender.put(Progress(0.3))
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    assert sent.values == [Progress(0.1)]


async def test_progress_put_in_a_tight_loop_of_a_thread_wakes_the_event_loop_once() -> None:
    """A `def` handler that reports often must not flood the event loop with calls."""
    sent = SentProgress()
    sent.may_end.set()
    sender = LatestSender(sent)
    loop = asyncio.get_running_loop()
    wakes = []
    call_soon_threadsafe = loop.call_soon_threadsafe

    def count(callback: Callable[..., object], *args: Any) -> object:
        wakes.append(callback)
        return call_soon_threadsafe(callback, *args)

    loop.call_soon_threadsafe = count  # type: ignore[method-assign, assignment]

    def report_often() -> None:
        for step in range(10_001):
            sender.put(Progress(step / 10_000))

    thread = threading.Thread(target=report_often)
    thread.start()
    thread.join()
    del loop.call_soon_threadsafe
    await sender.close()

    assert len(wakes) == 1
    assert sent.values == [Progress(1)]


def test_progress_put_after_the_loop_was_closed_is_ignored() -> None:
    """A thread may outlive the executor."""

    async def make() -> LatestSender[Progress]:
        return LatestSender(SentProgress())

    asyncio.run(make()).put(Progress(0.5))
