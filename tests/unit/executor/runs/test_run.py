"""One run, connected to a fake facade."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fabric_jobs.executor import Job, JobStopped
from fabric_jobs.executor.handlers import make_handler
from fabric_jobs.executor.retry import NO_RETRY, make_policy
from fabric_jobs.executor.runs.run import Run
from fabric_jobs.executor.session import latest_sender
from fabric_jobs.executor.session.status_client import Accepted
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import (
    connect_runs,
    dispatched_attempt,
    first_run,
    make_stubborn,
    must_not_run,
    quick,
    start_run,
)
from tests.support.fake_facade import (
    ITEM_TYPE,
    JOB_TYPE,
    Entry,
    FakeFacade,
    accept,
    answer_nothing,
    refuse,
    requested_event,
)


async def test_run_with_a_granted_claim_calls_the_handler_and_reports_with_the_grant(
    facade: FakeFacade,
) -> None:
    """The handler's job has the attributes of the dispatching record."""
    seen: list[Job[Any]] = []

    async def handler(job: Job[Any]) -> None:
        seen.append(job)

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a", b'{"x": 1}')
        await facade.wait_until(lambda: facade.reports)

    (job,), (report,) = seen, facade.reports
    assert (job.job_id, job.attempt, job.payload) == ("a", 1, {"x": 1})
    state = requested_event("a").data.state
    assert (job.tenant_id, job.workspace_id, job.item_id) == (
        state.tenant_id,
        state.workspace_id,
        state.item_id,
    )
    assert (report.job_id, report.attempt) == ("a", 1)
    assert report.grant.event_id == f"accepted-{facade.claims[0].entry_id}"
    assert report.HasField("completed")


async def test_run_with_content_in_its_grant_uses_it_and_logs_no_text_of_an_error(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """A facade has sealed what the record would hold. The report has the text, the log has not."""
    seen: list[Job[Any]] = []

    def grant(entry: Entry) -> pb.Answer:
        answer = accept(entry)
        if isinstance(entry, pb.Claim):
            answer.dispatch.payload = b'{"x": 2}'
            answer.dispatch.checkpoint = b"7"
            answer.dispatch.definition = b'{"parts": []}'
        return answer

    async def handler(job: Job[Any]) -> None:
        seen.append(job)
        raise ValueError("a secret")

    facade.script = grant
    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a", b"null")
        await facade.wait_until(lambda: facade.reports)

    (job,), (report,) = seen, facade.reports
    assert (job.payload, job.checkpoint(int)) == ({"x": 2}, 7)
    assert job.definition is not None
    assert "a secret" in report.failed.message
    assert "failed: HandlerError. Its text is sealed" in caplog.text
    assert "a secret" not in caplog.text


async def test_run_with_a_refused_claim_calls_no_handler_and_reports_nothing(
    facade: FakeFacade,
) -> None:
    """The claim counts as decided, and the slot is free again."""
    facade.script = refuse(pb.REFUSAL_REASON_GRANTED_TO_ANOTHER)
    async with connect_runs(facade, quick) as runs:
        await start_run(runs, "a").wait()
        await runs.drain(5)

    assert facade.reports == []


async def test_run_with_an_invalid_payload_fails_without_calling_the_handler(
    facade: FakeFacade,
) -> None:
    """The error is permanent, and its source is the user."""

    async def handler(job: Job[dict[str, int]]) -> None:
        await must_not_run(job)

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a", b'{"x": "text"}')
        await facade.wait_until(lambda: facade.reports)

    error = facade.reports[0].failed
    assert (error.error_code, error.source, error.permanent) == ("PayloadInvalid", "User", True)


async def test_run_that_reported_progress_sends_the_last_progress_before_its_end(
    facade: FakeFacade,
) -> None:
    """Also for a handler in a thread. Progress in between is not sent."""

    def handler(job: Job[Any]) -> None:
        for step in range(1000):
            job.progress(step / 1000, f"step {step}")

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: "completed" in facade.outcomes)

    assert facade.outcomes[-2:] == ["progress", "completed"]
    assert len(facade.outcomes) <= 3
    assert facade.reports[-2].progress.message == "step 999"


async def test_run_that_failed_sends_its_last_checkpoint_before_its_end(facade: FakeFacade) -> None:
    """Checkpoints in between are not sent."""

    def handler(job: Job[Any]) -> None:
        for row in range(1000):
            job.save_checkpoint(row)
        raise RuntimeError("row 1000")

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: "failed" in facade.outcomes)

    assert facade.outcomes[-2:] == ["checkpoint", "failed"]
    assert len(facade.outcomes) <= 3
    assert facade.reports[-2].checkpoint == b"999"


async def test_run_that_ended_is_freed_without_the_garbage_collector() -> None:
    """It has no reference cycle, which would keep its payload in memory until a collection."""

    class GrantingClient:
        async def claim(self, claim: pb.Claim) -> Accepted:
            return Accepted(claim.record)

        async def report(self, report: pb.Report) -> Accepted:
            return Accepted(report.grant)

        def beat(self) -> None:
            raise AssertionError("the run has ended before its deadline")

        async def access_token(
            self, request: pb.GetAccessTokenRequest
        ) -> pb.GetAccessTokenResponse:
            raise NotImplementedError

    async def handler(job: Job[Any]) -> None:
        await job.progress(0.5)

    served = make_handler(ITEM_TYPE, JOB_TYPE, handler)
    run = Run(dispatched_attempt("a"), served, GrantingClient(), on_decided=lambda: None)
    await run.run()
    reference = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert reference() is None
    finally:
        gc.enable()


async def test_run_of_def_handler_without_a_thread_is_handed_back_and_keeps_its_slot_a_moment(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is not to blame. The slot stays taken, so that the job does not come back at once."""

    def refuse_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def handler(job: Job[Any]) -> None:
        raise AssertionError("it was called")

    async with connect_runs(facade, handler, slots=2) as runs:
        with monkeypatch.context() as patches:
            patches.setattr(threading.Thread, "start", refuse_to_start)
            start_run(runs, "a")
            await facade.wait_until(lambda: facade.outcomes == ["handed_back"])
        await facade.wait_for_heartbeats(2)
        assert facade.heartbeats[-1] == pb.Heartbeat(free_slots=1)
        await runs.wait_for_freed_slot()


async def test_run_of_async_handler_when_cancelled_reports_stopped_after_its_clean_up(
    facade: FakeFacade,
) -> None:
    """A repeated cancel does not disturb the clean-up."""
    cleaned = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert job.cancel_requested
            facade.send(pb.SessionResponse(cancels=[first_run("a")]))
            await facade.wait_for_heartbeats(2)
            cleaned.set()

    async with connect_runs(facade, handler) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)

    assert cleaned.is_set()
    assert facade.outcomes == ["stopped"]


async def test_run_of_def_handler_when_cancelled_reports_stopped_once_it_raises_job_stopped(
    facade: FakeFacade,
) -> None:
    """The handler sees the cancel in `job.cancel_requested`."""
    began = threading.Event()

    def handler(job: Job[Any]) -> None:
        began.set()
        while not job.cancel_requested:
            pass
        raise JobStopped

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await asyncio.to_thread(began.wait)
        facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)

    assert facade.outcomes == ["stopped"]


async def test_run_cancelled_together_with_its_grant_reports_stopped_without_calling_the_handler(
    facade: FakeFacade,
) -> None:
    """The grant and the cancel arrive in one message."""
    facade.script = answer_nothing
    called: list[Job[Any]] = []

    async def handler(job: Job[Any]) -> None:
        called.append(job)

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.claims)
        facade.script = accept
        answer = accept(facade.claims[0])
        facade.send(pb.SessionResponse(answers=[answer], cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)

    assert called == []
    assert facade.outcomes == ["stopped"]


async def test_run_when_stopped_ends_its_handler_and_reports_nothing(facade: FakeFacade) -> None:
    """A stop says that the attempt is over, or that another executor holds the job."""
    ended = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with connect_runs(facade, handler) as runs:
        await start_run(runs, "a").wait()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        await ended.wait()
        await runs.drain(5)

    assert facade.reports == []


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (lambda job: job.progress(0.5), "progress"),
        (lambda job: job.save_checkpoint(1), "checkpoint"),
    ],
)
async def test_run_whose_report_is_refused_ends_its_handler_and_reports_nothing_more(
    facade: FakeFacade,
    monkeypatch: pytest.MonkeyPatch,
    report: Callable[[Job[Any]], Awaitable[None]],
    outcome: str,
) -> None:
    """The attempt is superseded, so its work is of no use, and its checkpoint must replace none."""
    monkeypatch.setattr(latest_sender, "MIN_INTERVAL_S", 0)
    ended = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        facade.script = refuse(pb.REFUSAL_REASON_SUPERSEDED)
        await report(job)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await ended.wait()
        await runs.drain(5)

    assert facade.outcomes == [outcome]


async def test_run_whose_final_report_is_refused_does_not_repeat_it(facade: FakeFacade) -> None:
    """A refusal is final."""

    async def handler(job: Job[Any]) -> None:
        facade.script = refuse(pb.REFUSAL_REASON_FINAL)

    async with connect_runs(facade, handler) as runs:
        start_run(runs, "a")
        await facade.wait_until(lambda: facade.reports)
        await runs.drain(5)

    assert facade.outcomes == ["completed"]


async def test_run_whose_stream_is_lost_goes_on_and_reports_on_the_next_stream(
    facade: FakeFacade,
) -> None:
    """The handler does not notice the loss."""
    may_end = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await may_end.wait()

    async with connect_runs(facade, handler) as runs:
        await start_run(runs, "a").wait()
        facade.end_stream()
        await facade.wait_until(
            lambda: facade.opened == 2 and first_run("a") in facade.heartbeats[-1].runs
        )
        may_end.set()
        await facade.wait_until(lambda: facade.reports)

    assert facade.outcomes == ["completed"]


@pytest.mark.parametrize("deadline", ["run timeout", "cancel grace"])
async def test_run_that_reaches_a_deadline_sends_a_heartbeat_that_lists_it(
    facade: FakeFacade, deadline: str
) -> None:
    """Facades wait for a heartbeat after the deadline. The regular ones are rarer here."""
    policy = make_policy(
        NO_RETRY,
        run_timeout_s=0.2 if deadline == "run timeout" else None,
        cancel_grace_s=0.2,
    )
    may_end = asyncio.Event()
    handler = make_handler(ITEM_TYPE, JOB_TYPE, make_stubborn(may_end, 9), policy)
    async with connect_runs(facade, handler, heartbeat_s=600) as runs:
        await start_run(runs, "a").wait()
        if deadline == "cancel grace":
            facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        may_end.set()
        await facade.wait_until(lambda: facade.reports)

    assert len(facade.heartbeats) == 2
