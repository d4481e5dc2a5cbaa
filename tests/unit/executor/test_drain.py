"""The drain of a process, connected to a fake facade."""

import asyncio
import threading
from typing import Any

import pytest

from fabric_jobs.executor import Job
from fabric_jobs.executor.runs import handler_task
from fabric_jobs.executor.runs import runs as runs_module
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import (
    connect_runs,
    endless,
    first_run,
    make_stubborn,
    must_not_run,
    offer,
    start_run,
)
from tests.support.fake_facade import (
    WAIT_TIMEOUT_S,
    Entry,
    FakeFacade,
    accept,
    answer_nothing,
)


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the waits for handlers that do not end and for reports without an answer."""
    monkeypatch.setattr(handler_task, "CLEAN_UP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(runs_module, "REPORT_TIMEOUT_S", 0.3)


async def test_drain_lets_running_handlers_end_and_claims_nothing_more(facade: FakeFacade) -> None:
    """A handler that ends in time reports its result."""
    may_end = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await may_end.wait()

    async with connect_runs(facade, handler) as runs:
        await start_run(runs, "a").wait()
        drain = asyncio.create_task(runs.drain(WAIT_TIMEOUT_S))
        await facade.wait_until(lambda: facade.heartbeats[-1].free_slots == 0)
        facade.send(pb.SessionResponse(offers=[offer("b")]))
        await facade.wait_for_heartbeats(2)
        may_end.set()
        await drain

    assert facade.outcomes == ["completed"]
    assert [claim.job_id for claim in facade.claims] == ["a"]


async def test_drain_with_an_undecided_claim_hands_back_the_job_once_it_is_granted(
    facade: FakeFacade,
) -> None:
    """Its handler is not called."""
    facade.script = answer_nothing
    async with connect_runs(facade, must_not_run) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.claims)
        drain = asyncio.create_task(runs.drain(WAIT_TIMEOUT_S))
        await facade.wait_until(lambda: facade.heartbeats[-1].free_slots == 0)
        facade.script = accept
        facade.send(pb.SessionResponse(answers=[accept(facade.claims[0])]))
        await drain

    assert facade.outcomes == ["handed_back"]


async def test_drain_with_undecided_answers_repeats_the_report_until_it_is_accepted(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A facade answers "undecided" while Kafka is away."""
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", WAIT_TIMEOUT_S)

    def undecided(entry: Entry) -> pb.Answer:
        if len(facade.reports) == 2:
            facade.script = accept
        return pb.Answer(entry_id=entry.entry_id, undecided=pb.Undecided())

    async with connect_runs(facade, endless) as runs:
        await start_run(runs, "a").wait()
        facade.script = undecided
        await runs.drain(0)

    assert facade.outcomes == ["handed_back"] * 4


async def test_drain_without_a_facade_ends_without_an_answer(facade: FakeFacade) -> None:
    """Neither a held run nor an undecided claim delays the end beyond the timeouts."""
    async with connect_runs(facade, endless) as runs:
        await start_run(runs, "held").wait()
        facade.script = answer_nothing
        start_run(runs, "awaited")
        await facade.wait_until(lambda: len(facade.claims) == 2)
        facade.refuses_streams = True
        facade.end_stream()
        await runs.drain(0)
        assert runs.heartbeat() == pb.Heartbeat()

    assert facade.reports == []


async def test_drain_whose_stream_was_lost_hands_back_on_the_next_stream(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream ends just before the drain begins."""
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", WAIT_TIMEOUT_S)
    async with connect_runs(facade, endless) as runs:
        await start_run(runs, "a").wait()
        facade.end_stream()
        await runs.drain(0)

    assert facade.outcomes == ["handed_back"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_drain_with_a_handler_that_does_not_end_in_time_hands_back_its_job(
    facade: FakeFacade, is_async: bool
) -> None:
    """The handler is asked to stop. A `def` handler that does not stop is abandoned."""
    was_cancelled = threading.Event()
    may_end = threading.Event()

    async def asynchronous(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    def sync(job: Job[Any]) -> None:
        while not may_end.wait(0.01):
            if job.cancel_requested:
                was_cancelled.set()

    async with connect_runs(facade, asynchronous if is_async else sync) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)
        assert await asyncio.to_thread(was_cancelled.wait, WAIT_TIMEOUT_S)
        may_end.set()

    assert facade.outcomes == ["handed_back"]


async def test_drain_with_a_handler_that_ignores_every_cancel_hands_back_its_job(
    facade: FakeFacade,
) -> None:
    """The handler is abandoned, and does not delay the end."""
    may_end = asyncio.Event()

    async with connect_runs(facade, make_stubborn(may_end, ignored_cancels=99)) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)
        may_end.set()

    assert facade.outcomes == ["handed_back"]
