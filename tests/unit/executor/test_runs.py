"""Runs against a scripted facade: claim, handle, report, cancel, stop, drain."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.executor import Job, JobStopped, dispatches, progress
from fabric_jobs.executor import run as run_module
from fabric_jobs.executor import runs as runs_module
from fabric_jobs.executor.dispatches import Dispatched
from fabric_jobs.executor.handlers import handler_of
from fabric_jobs.executor.run import Run
from fabric_jobs.executor.runs import Runs
from fabric_jobs.executor.session import Accepted, Session
from fabric_jobs.executor.supervision import supervise
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.fake_facade import (
    ITEM_TYPE,
    JOB_TYPE,
    PATIENCE_S,
    Entry,
    FakeFacade,
    accept,
    refuse,
    requested,
    silent,
)

Function = Callable[[Job[Any]], object]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end, or is not answered, is given up soon."""
    monkeypatch.setattr(run_module, "CLEAN_UP_S", 0.3)
    monkeypatch.setattr(runs_module, "CLEAN_UP_S", 0.3)
    monkeypatch.setattr(runs_module, "HAND_BACK_S", 0.3)


@asynccontextmanager
async def running(
    facade: FakeFacade, handler: Function, *, slots: int = 2, type_slots: int | None = None
) -> AsyncIterator[Runs]:
    """Runs of one handler, connected to the facade."""
    session = Session(pb.Hello(executor_id="one"), [facade.address], heartbeat_s=0.05)
    async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as group:
        served = handler_of(ITEM_TYPE, JOB_TYPE, handler, slots=type_slots)
        other = handler_of(ITEM_TYPE, "other", endless)
        handlers = {(ITEM_TYPE, JOB_TYPE): served, (ITEM_TYPE, "other"): other}
        runs = Runs(handlers, session, slots, group)
        keeping = group.create_task(supervise("session", lambda: session.connect(runs)))
        yield runs
        keeping.cancel()


def dispatched(job_id: str, payload: bytes = b"{}", job_type: str = JOB_TYPE) -> Dispatched:
    """An attempt that was read from the topic."""
    event = requested(job_id, payload, job_type=job_type)
    found = dispatches.of_record(0, 0, events.encode(event))
    assert found is not None
    return found


def offered(job_id: str, item_type: str = ITEM_TYPE) -> pb.Offer:
    """An attempt that a replica offers."""
    job = pb.Job(job_id=job_id, attempt=1, item_type=item_type, job_type=JOB_TYPE)
    return pb.Offer(job=job, record=pb.Record(event_id=job_id), payload=b"null")


def start(runs: Runs, job_id: str, payload: bytes = b"{}") -> asyncio.Event:
    """Starts a run; the event is set when its claim is decided."""
    decided = asyncio.Event()
    runs.start(dispatched(job_id, payload), decided.set)
    return decided


def run(job_id: str) -> pb.Run:
    """The run's name on the stream."""
    return pb.Run(job_id=job_id, attempt=1)


async def quick(job: Job[Any]) -> None:
    """Ends at once."""


async def endless(job: Job[Any]) -> None:
    """Runs until it is cancelled."""
    await asyncio.Event().wait()


async def never(job: Job[Any]) -> None:
    """Is not called."""
    raise AssertionError("it was called")


def stubborn(go_on: asyncio.Event, times: int) -> Function:
    """A handler that swallows its cancel that often."""

    async def handler(job: Job[Any]) -> None:
        for _ in range(times):
            with suppress(asyncio.CancelledError):
                await go_on.wait()
        await go_on.wait()

    return handler


async def test_a_granted_run_is_handled_and_reported_with_its_grant(facade: FakeFacade) -> None:
    """The job that the handler sees is the record's."""
    seen: list[Job[Any]] = []

    async def handler(job: Job[Any]) -> None:
        seen.append(job)

    async with running(facade, handler) as runs:
        start(runs, "a", b'{"x": 1}')
        await facade.until(lambda: facade.reports)

    (job,), (report,) = seen, facade.reports
    assert (job.job_id, job.attempt, job.payload) == ("a", 1, {"x": 1})
    assert (job.tenant_id, job.workspace_id, job.item_id) == (
        "the tenant",
        "the workspace",
        "the item",
    )
    assert (report.job_id, report.attempt) == ("a", 1)
    assert report.grant.event_id == f"accepted-{facade.claims[0].entry_id}"
    assert report.HasField("completed")


async def test_a_refused_claim_starts_nothing(facade: FakeFacade) -> None:
    """It is decided, its slot is free, and nothing is reported."""
    facade.script = refuse(pb.REFUSAL_REASON_GRANTED_TO_ANOTHER)
    async with running(facade, quick) as runs:
        await start(runs, "a").wait()
        await runs.drain(5)

    assert facade.reports == []


async def test_a_payload_of_another_type_fails_the_job_before_its_handler(
    facade: FakeFacade,
) -> None:
    """Permanent, and the user's."""

    async def handler(job: Job[dict[str, int]]) -> None:
        await never(job)

    async with running(facade, handler) as runs:
        start(runs, "a", b'{"x": "text"}')
        await facade.until(lambda: facade.reports)

    error = facade.reports[0].failed
    assert (error.error_code, error.source, error.permanent) == ("PayloadInvalid", "User", True)


async def test_a_runs_progress_comes_before_its_end(facade: FakeFacade) -> None:
    """From a thread too, and the last is not lost."""

    def handler(job: Job[Any]) -> None:
        for step in range(1000):
            job.progress(step / 1000, f"step {step}")

    async with running(facade, handler) as runs:
        start(runs, "a")
        await facade.until(lambda: "completed" in facade.outcomes)

    assert facade.outcomes[-2:] == ["progress", "completed"]
    assert len(facade.outcomes) <= 3
    assert facade.reports[-2].progress.message == "step 999"


async def test_a_run_that_is_over_leaves_nothing_to_the_search_for_cycles() -> None:
    """Which would stop all other runs, and come late for what this one held."""

    class Granting:
        async def claim(self, claim: pb.Claim) -> Accepted:
            return Accepted(claim.record)

        async def report(self, report: pb.Report) -> Accepted:
            return Accepted(report.grant)

    async def handler(job: Job[Any]) -> None:
        await job.progress(0.5)

    served = handler_of(ITEM_TYPE, JOB_TYPE, handler)
    over = Run(dispatched("a"), served, Granting(), decided=lambda: None)
    await over.run()
    left = weakref.ref(over)
    gc.disable()
    try:
        del over
        assert left() is None
    finally:
        gc.enable()


async def test_the_same_attempt_is_run_once(facade: FakeFacade) -> None:
    """While its claim is awaited, and while it runs."""
    facade.script = silent
    async with running(facade, endless) as runs:
        start(runs, "a")
        assert not runs.wants(dispatched("a"))
        assert runs.wants(dispatched("b"))
        await facade.until(lambda: facade.claims)
        facade.script = FakeFacade().script
        facade.end_stream()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        assert not runs.wants(dispatched("a"))
        await runs.drain(0)


async def test_a_record_that_lost_its_race_hides_none_that_won(facade: FakeFacade) -> None:
    """Both name the same attempt; each is claimed by its own record, and one of them is run."""

    def winner_only(entry: pb.Claim | pb.Report) -> pb.Answer:
        if isinstance(entry, pb.Claim) and entry.record.event_id == "loser":
            refusal = pb.Refusal(reason=pb.REFUSAL_REASON_NOT_DISPATCHED)
            return pb.Answer(entry_id=entry.entry_id, refused=refusal)
        return accept(entry)

    facade.script = silent
    async with running(facade, quick) as runs:
        loser, winner = (replace(dispatched("a"), event_id=name) for name in ("loser", "winner"))
        runs.start(loser, decided=lambda: None)
        assert runs.wants(winner)
        runs.start(winner, decided=lambda: None)
        await facade.until(lambda: len(facade.claims) == 2)
        facade.script = winner_only
        facade.end_stream()
        await facade.until(lambda: facade.outcomes == ["completed"])


async def test_a_heartbeat_lists_what_is_held_and_what_is_awaited(facade: FakeFacade) -> None:
    """And how many more it would take."""
    async with running(facade, endless, slots=3) as runs:
        await start(runs, "held").wait()
        facade.script = silent
        start(runs, "awaited")
        await facade.until(
            lambda: (
                facade.heartbeats[-1]
                == pb.Heartbeat(runs=[run("held")], claims=[run("awaited")], free_slots=1)
            )
        )
        await runs.drain(0)


async def test_a_cancelled_async_handler_is_stopped(facade: FakeFacade) -> None:
    """It may clean up; being asked again does not disturb that."""
    cleaned = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert job.cancel_requested
            facade.send(pb.SessionResponse(cancels=[run("a")]))
            await facade.until_beats(2)
            cleaned.set()

    async with running(facade, handler) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(cancels=[run("a")]))
        await facade.until(lambda: facade.reports)

    assert cleaned.is_set()
    assert facade.outcomes == ["stopped"]


async def test_a_cancelled_sync_handler_stops_when_it_sees_it(facade: FakeFacade) -> None:
    """By raising `JobStopped`."""
    began = threading.Event()

    def handler(job: Job[Any]) -> None:
        began.set()
        while not job.cancel_requested:
            pass
        raise JobStopped

    async with running(facade, handler) as runs:
        start(runs, "a")
        await asyncio.to_thread(began.wait)
        facade.send(pb.SessionResponse(cancels=[run("a")]))
        await facade.until(lambda: facade.reports)

    assert facade.outcomes == ["stopped"]


async def test_a_cancel_that_comes_with_the_grant_starts_no_handler(facade: FakeFacade) -> None:
    """Nothing ran, so nothing has to stop."""
    facade.script = silent
    called: list[Job[Any]] = []

    async def handler(job: Job[Any]) -> None:
        called.append(job)

    async with running(facade, handler) as runs:
        start(runs, "a")
        await facade.until(lambda: facade.claims)
        facade.script = accept = FakeFacade().script
        answer = accept(facade.claims[0])
        assert answer is not None
        facade.send(pb.SessionResponse(answers=[answer], cancels=[run("a")]))
        await facade.until(lambda: facade.reports)

    assert called == []
    assert facade.outcomes == ["stopped"]


async def test_a_stopped_run_ends_and_reports_nothing(facade: FakeFacade) -> None:
    """It is another's by now."""
    ended = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(facade, handler) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[run("a")]))
        await ended.wait()
        await runs.drain(5)

    assert facade.reports == []


async def test_a_stopped_thread_keeps_its_slot_until_it_ends(facade: FakeFacade) -> None:
    """It is not listed any more, and it does not make room for another."""
    go_on = threading.Event()

    def handler(job: Job[Any]) -> None:
        go_on.wait(PATIENCE_S)

    async with running(facade, handler, slots=1) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[run("a")]))
        await facade.until(lambda: facade.heartbeats[-1] == pb.Heartbeat(free_slots=0))
        go_on.set()
        await runs.freed()

    assert facade.reports == []


async def test_refused_progress_ends_the_run(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A superseded attempt has no business going on."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0)
    ended = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        facade.script = refuse(pb.REFUSAL_REASON_SUPERSEDED)
        await job.progress(0.5)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(facade, handler) as runs:
        start(runs, "a")
        await ended.wait()
        await runs.drain(5)

    assert facade.outcomes == ["progress"]


async def test_a_refused_end_drops_the_run(facade: FakeFacade) -> None:
    """Nothing is sent again."""

    async def handler(job: Job[Any]) -> None:
        facade.script = refuse(pb.REFUSAL_REASON_FINAL)

    async with running(facade, handler) as runs:
        start(runs, "a")
        await facade.until(lambda: facade.reports)
        await runs.drain(5)

    assert facade.outcomes == ["completed"]


async def test_losing_the_stream_keeps_jobs_running(facade: FakeFacade) -> None:
    """The run's end is reported on the next one."""
    go_on = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await go_on.wait()

    async with running(facade, handler) as runs:
        await start(runs, "a").wait()
        facade.end_stream()
        await facade.until(lambda: facade.streams == 2 and run("a") in facade.heartbeats[-1].runs)
        go_on.set()
        await facade.until(lambda: facade.reports)

    assert facade.outcomes == ["completed"]


async def test_an_offer_is_claimed_where_a_slot_is_free(facade: FakeFacade) -> None:
    """And passed over where none is, where it is held, or where no handler is."""
    async with running(facade, endless, slots=1) as runs:
        await facade.until(lambda: facade.requests)
        offers = [offered("other", "Other.Item"), offered("a"), offered("a"), offered("b")]
        facade.send(pb.SessionResponse(offers=offers))
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)

    assert [claim.record.event_id for claim in facade.claims] == ["a"]


async def test_a_drain_lets_runs_end_and_takes_no_more(facade: FakeFacade) -> None:
    """What ends in time is reported."""
    go_on = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await go_on.wait()

    async with running(facade, handler) as runs:
        await start(runs, "a").wait()
        draining = asyncio.create_task(runs.drain(PATIENCE_S))
        await facade.until(lambda: facade.heartbeats[-1].free_slots == 0)
        facade.send(pb.SessionResponse(offers=[offered("b")]))
        await facade.until_beats(2)
        go_on.set()
        await draining

    assert facade.outcomes == ["completed"]
    assert [claim.job_id for claim in facade.claims] == ["a"]


async def test_what_is_granted_during_a_drain_is_handed_back(facade: FakeFacade) -> None:
    """Its handler is not begun."""
    facade.script = silent
    async with running(facade, never) as runs:
        start(runs, "a")
        await facade.until(lambda: facade.claims)
        draining = asyncio.create_task(runs.drain(PATIENCE_S))
        await facade.until(lambda: facade.heartbeats[-1].free_slots == 0)
        facade.script = accept
        facade.send(pb.SessionResponse(answers=[accept(facade.claims[0])]))
        await draining

    assert facade.outcomes == ["handed_back"]


async def test_a_drain_while_kafka_is_away_asks_until_it_is_back(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A facade that can't decide is asked again for as long as there is time."""
    monkeypatch.setattr(runs_module, "CLEAN_UP_S", PATIENCE_S)

    def undecided(entry: Entry) -> pb.Answer:
        if len(facade.reports) == 2:
            facade.script = accept
        return pb.Answer(entry_id=entry.entry_id, undecided=pb.Undecided())

    async with running(facade, endless) as runs:
        await start(runs, "a").wait()
        facade.script = undecided
        await runs.drain(0)

    assert facade.outcomes == ["handed_back"] * 4


async def test_a_drain_without_a_facade_ends_all_the_same(facade: FakeFacade) -> None:
    """A run that is held, and a claim that nobody answers."""
    async with running(facade, endless) as runs:
        await start(runs, "held").wait()
        facade.script = silent
        start(runs, "awaited")
        await facade.until(lambda: len(facade.claims) == 2)
        facade.refuses = True
        facade.end_stream()
        await runs.drain(0)
        assert runs.heartbeat() == pb.Heartbeat()

    assert facade.reports == []


async def test_a_drain_goes_on_with_the_next_stream(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream was lost just before."""
    monkeypatch.setattr(runs_module, "CLEAN_UP_S", PATIENCE_S)
    async with running(facade, endless) as runs:
        await start(runs, "a").wait()
        facade.end_stream()
        await runs.drain(0)

    assert facade.outcomes == ["handed_back"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_does_not_end_in_time_is_handed_back(facade: FakeFacade, is_async: bool) -> None:
    """A thread that does not listen even so is left to itself."""
    told = threading.Event()
    go_on = threading.Event()

    async def asynchronous(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.set()

    def sync(job: Job[Any]) -> None:
        while not go_on.wait(0.01):
            if job.cancel_requested:
                told.set()

    async with running(facade, asynchronous if is_async else sync) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)
        assert await asyncio.to_thread(told.wait, PATIENCE_S)
        go_on.set()

    assert facade.outcomes == ["handed_back"]


async def test_a_handler_that_swallows_each_cancel_is_handed_back(facade: FakeFacade) -> None:
    """It can't hold up the drain."""
    go_on = asyncio.Event()

    async with running(facade, stubborn(go_on, times=99)) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)
        go_on.set()

    assert facade.outcomes == ["handed_back"]


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_stop_ends_a_handler_that_swallows_its_cancel(
    facade: FakeFacade, is_cancelled: bool
) -> None:
    """As when the cancel grace or the run timeout is over: it is cancelled until it ends."""
    async with running(facade, stubborn(asyncio.Event(), times=2)) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        if is_cancelled:
            facade.send(pb.SessionResponse(cancels=[run("a")]))
            await facade.until_beats(2)
        facade.send(pb.SessionResponse(stops=[run("a")]))
        await runs.freed()

    assert facade.reports == []


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_stopped_handler_that_goes_on_is_told_of_once(
    facade: FakeFacade,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_async: bool,
) -> None:
    """It keeps its slot until it ends."""
    monkeypatch.setattr(run_module, "CLEAN_UP_S", 0.02)
    go_on = threading.Event()

    def sync(job: Job[Any]) -> None:
        go_on.wait(PATIENCE_S)

    async def asynchronous(job: Job[Any]) -> None:
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    async with running(facade, asynchronous if is_async else sync, slots=1) as runs:
        await start(runs, "a").wait()
        await facade.until(lambda: run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[run("a")]))
        await facade.until_beats(10)
        assert runs.free_slots == 0
        go_on.set()
        await runs.freed()

    (told,) = [message for message in caplog.messages if "goes on" in message]
    assert told.startswith("job a attempt 1: ")


async def test_a_type_holds_no_more_runs_than_its_slots(facade: FakeFacade) -> None:
    """Another type has the rest, offers are passed over, and an end makes room."""
    go_on = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await go_on.wait()

    async with running(facade, handler, slots=3, type_slots=1) as runs:
        assert runs.has_slot(dispatched("a"))
        await start(runs, "a").wait()
        assert not runs.has_slot(dispatched("b"))
        assert runs.has_slot(dispatched("c", job_type="other"))
        full = pb.JobType(item_type=ITEM_TYPE, job_type=JOB_TYPE)
        assert list(runs.heartbeat().full_job_types) == [full]
        facade.send(pb.SessionResponse(offers=[offered("b")]))
        await facade.until_beats(2)
        assert facade.heartbeats[-1].free_slots == 2
        go_on.set()
        await runs.freed()
        assert runs.has_slot(dispatched("b"))
        assert not runs.heartbeat().full_job_types

    assert [claim.job_id for claim in facade.claims] == ["a"]


async def test_a_full_process_has_no_slot_for_a_type_that_is_not(facade: FakeFacade) -> None:
    """Its slots bound all types together."""
    async with running(facade, endless, slots=1, type_slots=5) as runs:
        await start(runs, "a").wait()
        assert not runs.has_slot(dispatched("b"))
        await runs.drain(0)
