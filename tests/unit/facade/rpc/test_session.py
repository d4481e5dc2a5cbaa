"""One executor's session: its bounds, its heartbeats, and the runs that it cancels."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import Command, Reason, Refusal
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.rpc.session import (
    MAX_PENDING_BYTES,
    MAX_PENDING_ENTRIES,
    Session,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import open_controls
from tests.support.lifecycle import WAYS, drive
from tests.support.rpc_kit import HELLO

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
OTHER_ID = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
POLICY = pb.Policy(max_attempts=1)


class FakeFacade:
    """Jobs that refuse all commands, a replica without jobs, a roster that keeps heartbeats."""

    def __init__(self) -> None:
        self.heartbeats: list[ExecutorHeartbeat] = []
        self.session = Session(HELLO, self, self, self, open_controls())  # type: ignore[arg-type]

    async def execute(self, command: Command, read_to: int) -> Any:
        """Refuses the command."""
        raise RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True))

    def position(self, job_id: str) -> tuple[int, int]:
        """All jobs are in one partition."""
        return 0, 0

    def get(self, job_id: str) -> None:
        """Returns no job."""

    async def publish(self, heartbeat: ExecutorHeartbeat) -> None:
        """Keeps the heartbeat."""
        self.heartbeats.append(heartbeat)


async def test_session_whose_answers_are_not_read_stops_reading_requests() -> None:
    """The entries beyond the bound stay in the stream until answers are taken."""
    session = FakeFacade().session
    requested = 0
    total = 3 * MAX_PENDING_ENTRIES

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        nonlocal requested
        for requested in range(1, total + 1):
            yield pb.SessionRequest(claims=[pb.Claim(entry_id=requested, job_id=JOB_ID, attempt=1)])

    reading = asyncio.create_task(session.read(pb.SessionRequest(hello=HELLO), requests()))
    for _ in range(total):  # more turns of the loop than reading all requests would need
        await asyncio.sleep(0)
    assert requested == MAX_PENDING_ENTRIES + 1
    answered = [
        answer.entry_id async for response in session.responses() for answer in response.answers
    ]
    await reading

    assert sorted(answered) == list(range(1, total + 1))


async def test_session_with_many_bytes_of_undecided_entries_stops_reading_requests() -> None:
    """An entry keeps its message in memory until it is decided, which Kafka may delay."""
    facade = FakeFacade()
    undecided = asyncio.Event()

    async def execute(command: Command, read_to: int) -> Any:
        await undecided.wait()
        raise RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True))

    facade.execute = execute  # type: ignore[method-assign]
    requested = 0
    total, size = 40, MAX_PENDING_BYTES // 8

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        nonlocal requested
        for requested in range(1, total + 1):
            claim = pb.Claim(entry_id=requested, job_id=JOB_ID, attempt=1, policy=POLICY)
            claim.traceparent = "x" * size
            yield pb.SessionRequest(claims=[claim])

    reading = asyncio.create_task(facade.session.read(hello_with(), requests()))
    for _ in range(10 * total):  # more turns of the loop than reading all requests would need
        await asyncio.sleep(0)
    assert requested == 9
    undecided.set()
    answered = [
        answer.entry_id
        async for response in facade.session.responses()
        for answer in response.answers
    ]
    await reading

    assert sorted(answered) == list(range(1, total + 1))


async def test_session_shares_a_heartbeat_whose_claims_count_as_runs() -> None:
    """A claim is a run of the executor if a facade has granted it meanwhile."""
    facade = FakeFacade()
    heartbeat = pb.Heartbeat(
        runs=[pb.Run(job_id=JOB_ID, attempt=1)],
        claims=[pb.Run(job_id=OTHER_ID.upper(), attempt=2)],
    )

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(heartbeat=pb.Heartbeat())

    await facade.session.read(pb.SessionRequest(hello=HELLO, heartbeat=heartbeat), requests())
    assert [response async for response in facade.session.responses()] == [pb.SessionResponse()]

    assert [beat.runs for beat in facade.heartbeats] == [(Run(JOB_ID, 1), Run(OTHER_ID, 2)), ()]


async def test_session_has_no_room_for_a_full_kind_until_the_next_heartbeat() -> None:
    """A full kind has no room until the next heartbeat."""
    session = FakeFacade().session
    (kind,) = session.kinds

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        for full in (HELLO.job_types, ()):
            heartbeat = pb.Heartbeat(free_slots=3, full_job_types=full)
            yield pb.SessionRequest(heartbeat=heartbeat)
            room.append(session.slots.has_room(kind))

    room: list[bool] = []
    await session.read(pb.SessionRequest(hello=HELLO), requests())

    assert room == [False, True]
    assert kind == JobKind("Item", "job")


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


async def test_session_that_has_ended_is_freed_at_once() -> None:
    """Its memory does not wait for the garbage collector, which may come much later."""
    facade = FakeFacade()
    session = Session(HELLO, facade, facade, facade, open_controls())  # type: ignore[arg-type]
    reference = weakref.ref(session)
    request = hello_with(free_slots=3)
    request.claims.add(entry_id=1, job_id=JOB_ID, attempt=1, policy=POLICY)
    gc.disable()
    try:
        await session.read(request, no_requests())
        assert [response async for response in session.responses()]
        del session
        assert reference() is None
    finally:
        gc.enable()


async def no_requests() -> AsyncIterator[pb.SessionRequest]:
    """Yields nothing."""
    return
    yield


def hello_with(**fields: Any) -> pb.SessionRequest:
    """Returns the first message, with a heartbeat of these fields."""
    return pb.SessionRequest(hello=HELLO, heartbeat=pb.Heartbeat(**fields))


async def test_session_counts_free_slots_up_to_the_slots_of_its_hello() -> None:
    """An executor that claims more takes no offers from the others."""
    facade = FakeFacade()
    await facade.session.read(hello_with(free_slots=10_000), no_requests())

    assert facade.session.slots.count == facade.session.offer_room() == HELLO.slots


async def test_session_with_unread_offers_has_no_room_for_more() -> None:
    """Payloads would pile up behind an executor that reads nothing."""
    session = FakeFacade().session
    await session.read(hello_with(free_slots=3), no_requests())
    session.offer(pb.Offer(job=pb.Job(job_id=JOB_ID, attempt=1)))

    assert (session.slots.count, session.offer_room()) == (2, 0)


async def test_session_offer_is_open_until_its_claim_arrives() -> None:
    """Another heartbeat does not end it."""
    session = FakeFacade().session
    session.offer(pb.Offer(job=pb.Job(job_id=JOB_ID, attempt=1)))
    session.offer(pb.Offer(job=pb.Job(job_id=OTHER_ID, attempt=1)))
    claim = pb.Claim(entry_id=1, job_id=JOB_ID, attempt=1)
    await session.read(pb.SessionRequest(hello=HELLO, claims=[claim]), no_requests())

    assert session.slots.open_offers == 1


async def test_session_with_a_message_out_of_bounds_ends_after_the_answers() -> None:
    """The fault says what was out of bounds."""
    session = FakeFacade().session

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(claims=[pb.Claim(entry_id=1, job_id=JOB_ID, attempt=1)])
        yield pb.SessionRequest(heartbeat=pb.Heartbeat(free_slots=-1))

    await session.read(pb.SessionRequest(hello=HELLO), requests())
    answered = [
        answer.entry_id async for response in session.responses() for answer in response.answers
    ]
    assert answered == [1]
    assert "free_slots" in session.fault


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
