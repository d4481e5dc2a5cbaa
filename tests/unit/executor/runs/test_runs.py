"""The runs of a process, connected to a fake facade: slots, offers and heartbeats."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.executor import Job
from fabric_jobs.executor.runs import runs as runs_module
from fabric_jobs.executor.runs.run import Run
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import (
    connect_runs,
    dispatched_attempt,
    endless,
    first_run,
    offer,
    put,
    quick,
    start_run,
)
from tests.support.fake_facade import (
    ITEM_TYPE,
    JOB_TYPE,
    FakeFacade,
    accept,
    answer_nothing,
    refuse,
)

KEY = (ITEM_TYPE, JOB_TYPE)
OTHER_KEY = (ITEM_TYPE, "other")


async def test_runs_with_a_run_of_a_record_do_not_want_the_record_again(facade: FakeFacade) -> None:
    """This holds while the claim is undecided and while the handler runs."""
    facade.script = answer_nothing
    async with connect_runs(facade, endless) as runs:
        start_run(runs, "a")
        assert not runs.wants(dispatched_attempt("a"))
        assert runs.wants(dispatched_attempt("b"))
        await facade.wait_until(lambda: facade.claims)
        facade.script = accept
        facade.end_stream()
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        assert not runs.wants(dispatched_attempt("a"))
        await runs.drain(0)


async def test_runs_claim_both_records_of_an_attempt_when_one_of_them_lost_a_race(
    facade: FakeFacade,
) -> None:
    """Only the facades know which record won the race. One of the claims is granted."""

    def grant_the_winner(entry: pb.Claim | pb.Report) -> pb.Answer:
        if isinstance(entry, pb.Claim) and entry.record.event_id == "loser":
            refusal = pb.Refusal(reason=pb.REFUSAL_REASON_NOT_DISPATCHED)
            return pb.Answer(entry_id=entry.entry_id, refused=refusal)
        return accept(entry)

    facade.script = answer_nothing
    async with connect_runs(facade, quick) as runs:
        loser, winner = (
            replace(dispatched_attempt("a"), event_id=name) for name in ("loser", "winner")
        )
        put(runs, loser)
        assert runs.wants(winner)
        put(runs, winner)
        runs.start_ready()
        await facade.wait_until(lambda: len(facade.claims) == 2)
        facade.script = grant_the_winner
        facade.end_stream()
        await facade.wait_until(lambda: facade.outcomes == ["completed"])


async def test_heartbeat_lists_held_runs_awaited_claims_and_free_slots(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undecided claim occupies a slot too."""
    # The drain at the end would wait for the answer to the undecided claim.
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", 0)
    async with connect_runs(facade, endless, slots=3) as runs:
        await start_run(runs, "held").wait()
        facade.script = answer_nothing
        start_run(runs, "awaited")
        await facade.wait_until(
            lambda: (
                facade.heartbeats[-1]
                == pb.Heartbeat(
                    runs=[first_run("held")], claims=[first_run("awaited")], free_slots=1
                )
            )
        )
        await runs.drain(0)


async def test_offer_is_claimed_only_with_a_free_slot_a_handler_and_no_run_of_its_record(
    facade: FakeFacade,
) -> None:
    """Other offers are ignored, and the facade repeats them."""
    async with connect_runs(facade, endless, slots=1) as runs:
        await facade.wait_until(lambda: facade.requests)
        offers = [offer("other", "Other.Item"), offer("a"), offer("a"), offer("b")]
        facade.send(pb.SessionResponse(offers=offers))
        await facade.wait_until(lambda: first_run("a") in facade.heartbeats[-1].runs)
        await runs.drain(0)

    assert [claim.record.event_id for claim in facade.claims] == ["a"]


async def test_job_type_with_all_of_its_slots_taken_has_no_slot_until_a_run_ends(
    facade: FakeFacade,
) -> None:
    """Other types have the remaining slots. Offers of the type are ignored."""
    may_end = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await may_end.wait()

    async with connect_runs(facade, handler, slots=3, type_slots=1) as runs:
        assert runs.has_slot(KEY)
        await start_run(runs, "a").wait()
        assert not runs.has_slot(KEY)
        assert runs.has_slot(OTHER_KEY)
        full = pb.JobType(item_type=ITEM_TYPE, job_type=JOB_TYPE)
        assert list(runs.heartbeat().full_job_types) == [full]
        facade.send(pb.SessionResponse(offers=[offer("b")]))
        await facade.wait_for_heartbeats(2)
        assert facade.heartbeats[-1].free_slots == 2
        may_end.set()
        await runs.wait_for_freed_slot()
        assert runs.has_slot(KEY)
        assert not runs.heartbeat().full_job_types

    assert [claim.job_id for claim in facade.claims] == ["a"]


async def test_process_with_all_of_its_slots_taken_has_no_slot_for_any_job_type(
    facade: FakeFacade,
) -> None:
    """The slots of the process limit all job types together."""
    async with connect_runs(facade, endless, slots=1, type_slots=5) as runs:
        await start_run(runs, "a").wait()
        assert not runs.has_slot(KEY)
        await runs.drain(0)


async def test_freed_slot_goes_to_the_waiting_attempt_of_the_highest_priority(
    facade: FakeFacade,
) -> None:
    """A manual job starts before a scheduled job that has waited longer."""
    may_end = asyncio.Event()

    async def handler(job: Job[Any]) -> None:
        await may_end.wait()

    async with connect_runs(facade, handler, slots=1) as runs:
        await start_run(runs, "running").wait()
        put(runs, dispatched_attempt("scheduled"))
        put(runs, replace(dispatched_attempt("manual"), invoke_type=InvokeType.MANUAL))
        runs.start_ready()
        assert [claim.job_id for claim in facade.claims] == ["running"]
        may_end.set()
        await facade.wait_until(lambda: len(facade.outcomes) == 3)

    assert [claim.job_id for claim in facade.claims] == ["running", "manual", "scheduled"]


async def test_full_job_type_holds_back_no_waiting_attempt_of_another_type(
    facade: FakeFacade,
) -> None:
    """The attempt of the full type waits on, without a claim."""
    async with connect_runs(facade, endless, slots=3, type_slots=1) as runs:
        await start_run(runs, "a").wait()
        put(runs, dispatched_attempt("b"))
        other_decided = put(runs, dispatched_attempt("c", job_type="other"))
        runs.start_ready()
        await other_decided.wait()
        await runs.drain(0)

    assert [claim.job_id for claim in facade.claims] == ["a", "c"]


async def test_waiting_attempts_that_others_started_cost_one_refused_claim_each(
    facade: FakeFacade,
) -> None:
    """They delay the next attempt by the answers to their claims, and by nothing else."""

    def refuse_stale(entry: pb.Claim | pb.Report) -> pb.Answer | None:
        if isinstance(entry, pb.Claim) and entry.job_id.startswith("stale"):
            return refuse(pb.REFUSAL_REASON_GRANTED_TO_ANOTHER)(entry)
        return accept(entry)

    facade.script = refuse_stale
    async with connect_runs(facade, quick, slots=1) as runs:
        stale = [put(runs, dispatched_attempt(f"stale {number}")) for number in range(50)]
        put(runs, dispatched_attempt("live"))
        runs.start_ready()
        await facade.wait_until(lambda: facade.outcomes == ["completed"])

    assert all(decided.is_set() for decided in stale)
    assert len(facade.claims) == 51


async def test_offer_of_a_waiting_attempt_is_claimed_once_and_decides_its_record(
    facade: FakeFacade,
) -> None:
    """The attempt leaves the ready queue, and its record can be committed."""
    async with connect_runs(facade, endless, slots=1) as runs:
        decided = put(runs, dispatched_attempt("a"))
        waiting = dispatched_attempt("a")
        offered = offer("a")
        offered.record.event_id = waiting.event_id
        await facade.wait_until(lambda: facade.requests)
        facade.send(pb.SessionResponse(offers=[offered]))
        await decided.wait()
        runs.start_ready()
        assert runs.heartbeat() == pb.Heartbeat(runs=[first_run("a")])
        await runs.drain(0)

    assert len(facade.claims) == 1


async def test_drain_starts_none_of_the_waiting_attempts(facade: FakeFacade) -> None:
    """Their records stay undecided, so that another executor reads them."""
    async with connect_runs(facade, endless, slots=1) as runs:
        await start_run(runs, "a").wait()
        waiting = start_run(runs, "b")
        await runs.drain(0)
        assert not waiting.is_set()

    assert [claim.job_id for claim in facade.claims] == ["a"]


async def test_run_that_ends_by_a_defect_frees_its_slot_and_ends_no_other_run(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease expires, and another attempt follows."""
    claim = Run._claim

    async def claim_unless_bad(run: Run) -> Any:
        if run.job_id == "bad":
            raise RuntimeError("a defect")
        return await claim(run)

    monkeypatch.setattr(Run, "_claim", claim_unless_bad)
    async with connect_runs(facade, quick, slots=1) as runs:
        start_run(runs, "bad")
        start_run(runs, "good")
        await facade.wait_until(lambda: facade.outcomes == ["completed"])

    assert "job bad attempt 1: ended by a defect of the executor" in caplog.text


async def test_drain_of_a_handler_that_completes_its_job_hands_nothing_back(
    facade: FakeFacade,
) -> None:
    """A job that is handed back runs again."""
    is_running = asyncio.Event()

    async def complete_when_cancelled(job: Job[Any]) -> None:
        is_running.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with connect_runs(facade, complete_when_cancelled) as runs:
        start_run(runs, "a")
        await is_running.wait()
        await runs.drain(0)

    assert facade.outcomes == ["completed"]
