"""Handlers that do not end when their run is stopped."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from fabric_jobs.executor import Job
from fabric_jobs.executor.runs import handler_task
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.captured_logs import lines_with_stacks
from tests.support.executor_runs import (
    connect_runs,
    first_run,
    make_stubborn,
    start_run,
)
from tests.support.fake_facade import (
    WAIT_TIMEOUT_S,
    FakeFacade,
)


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time between two cancels of a handler."""
    monkeypatch.setattr(handler_task, "CLEAN_UP_TIMEOUT_S", 0.02)


async def test_stopped_def_handler_that_goes_on_keeps_its_slot_until_it_ends(
    facade: FakeFacade,
) -> None:
    """Heartbeats count its slot as hung and no longer list the run. No other run gets the slot.

    A process all of whose slots are hung is not live.
    """
    may_end = threading.Event()

    def handler(job: Job[Any]) -> None:
        may_end.wait(WAIT_TIMEOUT_S)

    async with connect_runs(facade, handler, slots=1) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        hung = pb.Heartbeat(free_slots=0, hung_slots=1)
        await facade.wait_until(lambda: facade.heartbeats[-1] == hung)
        assert runs.unhealthy_reasons() == ["All slots, 1, are held by handlers that do not end."]
        may_end.set()
        await runs.wait_for_freed_slot()

        assert runs.unhealthy_reasons() == []

    assert facade.reports == []


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_stopped_async_handler_that_ignores_cancels_is_cancelled_until_it_ends(
    facade: FakeFacade, is_cancelled: bool
) -> None:
    """Also if it was cancelled before. A stop comes after the cancel grace or the run timeout."""
    async with connect_runs(facade, make_stubborn(asyncio.Event(), ignored_cancels=2)) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        if is_cancelled:
            facade.send(pb.SessionResponse(cancels=[first_run("a")]))
            await facade.wait_for_heartbeats(2)
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        await runs.wait_for_freed_slot()

    assert facade.reports == []


@pytest.mark.parametrize("is_async", [True, False])
async def test_stopped_handler_that_goes_on_is_logged_once(
    facade: FakeFacade,
    caplog: pytest.LogCaptureFixture,
    is_async: bool,
) -> None:
    """It keeps its slot until it ends. The line has the place where it hangs, and the advice."""
    may_end = threading.Event()

    def sync(job: Job[Any]) -> None:
        may_end.wait(WAIT_TIMEOUT_S)  # where it hangs

    async def asynchronous(job: Job[Any]) -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)  # where it hangs

    async with connect_runs(facade, asynchronous if is_async else sync, slots=1) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        await facade.wait_for_heartbeats(4)
        assert runs.free_slots == 0
        may_end.set()
        await runs.wait_for_freed_slot()

    (warning,) = [one for one in lines_with_stacks(caplog) if "ignores the cancel" in one]
    assert warning.startswith("job a attempt 1: ")
    assert "# where it hangs" in warning
    assert 'run_in="process"' in warning
