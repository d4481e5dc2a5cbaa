"""The runs of an executor's session: which it cancels or stops, and when their slots are free."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import Run
from fabric_jobs.facade.jobs.errors import RefusedError, UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import (
    Command,
    HandBack,
    Reason,
    Refusal,
    ReportProgress,
    SaveCheckpoint,
)
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.lifecycle import WAYS, drive
from tests.support.rpc_kit import HELLO
from tests.support.session_kit import JOB_ID, OTHER_ID, POLICY, FakeFacade, hello_with, no_requests


@pytest.mark.parametrize("entry", ["claim", "report"])
async def test_session_slot_is_free_once_a_claim_or_a_final_report_is_refused(entry: str) -> None:
    """The executor drops the run, and takes another job."""
    session = FakeFacade().session
    run = pb.Run(job_id=JOB_ID, attempt=1)
    held = [run] if entry == "report" else []
    entries: dict[str, Any] = {
        "claim": {"claims": [pb.Claim(entry_id=1, job_id=JOB_ID, attempt=1, policy=POLICY)]},
        "report": {
            "reports": [
                pb.Report(entry_id=1, job_id=JOB_ID, attempt=1, completed=pb.Completed()),
            ]
        },
    }
    heartbeat = pb.Heartbeat(free_slots=3 - len(held), runs=held)
    counts: list[int] = []

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        counts.append(session.slots.count)
        yield pb.SessionRequest(**entries[entry])
        counts.append(session.slots.count)

    await session.read(pb.SessionRequest(hello=HELLO, heartbeat=heartbeat), requests())
    answers = [one async for response in session.responses() for one in response.answers]

    assert [one.HasField("refused") for one in answers] == [True]
    assert counts == ([2, 2] if held else [3, 2])
    assert session.slots.count == 3


async def test_session_notes_nothing_of_entries_that_are_out_of_bounds() -> None:
    """Their texts may be long, and an executor may send any number of them."""
    session = FakeFacade().session
    entries = [
        pb.SessionRequest(
            claims=[pb.Claim(entry_id=1, job_id="x" * 1000, attempt=1, policy=POLICY)],
            reports=[pb.Report(entry_id=2, job_id="y" * 1000, completed=pb.Completed())],
        ),
        pb.SessionRequest(claims=[pb.Claim(entry_id=3, job_id=JOB_ID, policy=POLICY)]),
    ]
    counts: list[tuple[int, int]] = []

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        for request in entries:
            yield request
            counts.append((session.slots.count, session.slots.undecided))

    await session.read(hello_with(free_slots=3), requests())
    answers = [one async for response in session.responses() for one in response.answers]

    assert {one.entry_id: one.refused.reason for one in answers} == dict.fromkeys(
        (1, 2, 3), pb.REFUSAL_REASON_INVALID
    )
    assert counts == [(3, 0)] * 2
    assert not session.slots.holds((JOB_ID, 0))


async def test_session_counts_a_claim_under_the_canonical_id_of_its_job() -> None:
    """A job's id arrives in any letter case."""
    session = FakeFacade().session

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(
            claims=[pb.Claim(entry_id=1, job_id=JOB_ID.upper(), attempt=1, policy=POLICY)]
        )
        assert session.slots.holds((JOB_ID, 1))

    await session.read(hello_with(free_slots=3), requests())


@pytest.mark.parametrize(
    ("phase", "executor", "pushed"),
    [
        ("running", "executor", ""),
        ("running", "another", "stops"),
        ("waiting", "executor", "stops"),
        ("stopping", "executor", "cancels"),
        ("completed", "executor", "stops"),
    ],
)
async def test_session_whose_heartbeat_lists_a_run_cancels_or_stops_it_by_the_jobs_state(
    phase: str, executor: str, pushed: str
) -> None:
    """A push at the time of the change may have been lost with an earlier stream."""
    facade = FakeFacade()
    job = drive(WAYS[phase])
    if job.state.executor_id:
        job = replace(job, state=replace(job.state, executor_id=executor))
    facade.get = lambda job_id: StoredJob(job, 0, 0, 0)  # type: ignore[method-assign, assignment]
    await facade.session.read(hello_with(runs=[pb.Run(job_id=JOB_ID, attempt=1)]), no_requests())
    responses = [response async for response in facade.session.responses()]
    named = {name for name in ("cancels", "stops") if any(getattr(one, name) for one in responses)}

    assert named == ({pushed} if pushed else set())


async def test_session_whose_heartbeat_awaits_a_claim_pushes_nothing_for_it() -> None:
    """The answer to the claim says whether the attempt is the executor's."""
    facade = FakeFacade()
    ended = StoredJob(drive(WAYS["completed"]), 0, 0, 0)
    facade.get = lambda job_id: ended  # type: ignore[method-assign, assignment]
    await facade.session.read(hello_with(claims=[pb.Run(job_id=JOB_ID, attempt=1)]), no_requests())

    assert [one async for one in facade.session.responses()] == [pb.SessionResponse()]


async def test_session_stops_only_runs_that_the_executor_holds() -> None:
    """A stop of another run would tell the executor nothing."""
    session = FakeFacade().session
    await session.read(hello_with(runs=[pb.Run(job_id=JOB_ID, attempt=1)]), no_requests())
    for run in (Run(JOB_ID, 1), Run(JOB_ID, 2), Run(OTHER_ID, 1)):
        session.stop(run)

    stops = [run async for response in session.responses() for run in response.stops]
    assert stops == [pb.Run(job_id=JOB_ID, attempt=1)]


async def test_session_does_not_stop_a_run_whose_end_is_being_decided() -> None:
    """The event that ends the attempt may be the executor's own report."""
    facade = FakeFacade()
    refuse = facade.execute

    async def end_attempt(command: Command, read_to: int) -> Any:
        facade.session.stop(Run(JOB_ID, 1))
        return await refuse(command, read_to)

    facade.execute = end_attempt  # type: ignore[method-assign]
    failed = pb.Report(entry_id=1, job_id=JOB_ID, attempt=1, failed=pb.Error(source="System"))
    first = hello_with(runs=[pb.Run(job_id=JOB_ID, attempt=1)])
    first.reports.append(failed)
    await facade.session.read(first, no_requests())
    responses = [response async for response in facade.session.responses()]

    assert [answer.entry_id for response in responses for answer in response.answers] == [1]
    assert not any(response.stops for response in responses)


@pytest.mark.parametrize(
    ("error", "holds"),
    [
        (None, False),
        (RefusedError(Refusal(Reason.SUPERSEDED, conclusive=True)), False),
        # The run is still the executor's, and goes on.
        (RefusedError(Refusal(Reason.NOT_CANCELLED, conclusive=False)), True),
        # The executor sends the report again.
        (UnavailableError(UnavailableReason.OUTCOME_UNKNOWN, "Send it again."), True),
    ],
)
async def test_session_run_keeps_its_slot_until_its_final_report_is_decided(
    error: Exception | None, holds: bool
) -> None:
    """A slot that is taken must get no offer."""
    facade = FakeFacade()

    async def execute(command: Command, read_to: int) -> StoredJob:
        if error:
            raise error
        return StoredJob(drive(WAYS["cancelled"]), 0, 0, 0)

    facade.execute = execute  # type: ignore[method-assign]
    first = hello_with(runs=[pb.Run(job_id=JOB_ID, attempt=1)])

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        stopped = pb.Report(entry_id=1, job_id=JOB_ID, attempt=1, stopped=pb.Stopped())
        yield pb.SessionRequest(reports=[stopped])

    await facade.session.read(first, requests())
    assert [one async for one in facade.session.responses()]

    assert facade.session.slots.holds((JOB_ID, 1)) is holds


async def test_session_applies_the_latest_reports_of_a_run_before_its_end() -> None:
    """They were held back, and accepted. The next attempt begins at the last checkpoint."""
    facade = FakeFacade()
    applied = []

    async def execute(command: Command, read_to: int) -> StoredJob:
        applied.append(command)
        return StoredJob(drive(WAYS["running"]), 0, 0, 0)

    facade.execute = execute  # type: ignore[method-assign]
    outcomes: list[dict[str, Any]] = [
        *({"progress": pb.Progress(fraction=fraction)} for fraction in (0.25, 0.5, 0.75)),
        *({"checkpoint": value} for value in (b"1", b"2", b"3")),
        {"handed_back": pb.HandedBack()},
    ]
    reports = [
        pb.Report(entry_id=number, job_id=JOB_ID, attempt=1, **outcome)
        for number, outcome in enumerate(outcomes, 1)
    ]
    await facade.session.read(pb.SessionRequest(hello=HELLO, reports=reports), no_requests())
    assert [one async for one in facade.session.responses()]

    fractions = [one.progress.fraction for one in applied if isinstance(one, ReportProgress)]
    checkpoints = [one.checkpoint for one in applied if isinstance(one, SaveCheckpoint)]
    assert (fractions, checkpoints) == ([0.25, 0.75], [b"1", b"3"])
    assert isinstance(applied[-1], HandBack)
