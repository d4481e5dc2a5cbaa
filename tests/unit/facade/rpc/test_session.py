"""One executor's session: its bounds, its heartbeats, and when it sends a response."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fabric_jobs.contract.heartbeats import JobKind, Run
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import Command, Reason, Refusal
from fabric_jobs.facade.rpc.session import (
    MAX_PENDING_BYTES,
    MAX_PENDING_ENTRIES,
    RUNS_PER_TURN,
    Session,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import open_controls
from tests.support.rpc_kit import HELLO
from tests.support.session_kit import JOB_ID, OTHER_ID, POLICY, FakeFacade, hello_with, no_requests


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


async def test_session_with_a_heartbeat_of_many_runs_lets_the_event_loop_do_other_work() -> None:
    """An executor may list 10,000 runs, and each is looked up."""
    runs = [pb.Run(job_id=str(UUID(int=number)), attempt=1) for number in range(10 * RUNS_PER_TURN)]
    reading = asyncio.create_task(FakeFacade().session.read(hello_with(runs=runs), no_requests()))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns >= 10


@pytest.mark.parametrize("due", ["cancels", "stops", "offers", "answers", "heartbeat"])
async def test_session_whose_stream_waits_sends_what_is_due_at_once(due: str) -> None:
    """Otherwise it would wait for the executor's next message, up to 5 seconds."""
    session = FakeFacade().session
    run = pb.Run(job_id=JOB_ID, attempt=1)
    further = asyncio.Queue[pb.SessionRequest]()

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        while True:
            yield await further.get()

    reading = asyncio.create_task(session.read(hello_with(runs=[run]), requests()))
    responses = session.responses()
    async with asyncio.timeout(10):
        assert await anext(responses) == pb.SessionResponse()  # the answer to the heartbeat
        response = asyncio.ensure_future(anext(responses))
        await asyncio.sleep(0)
        match due:
            case "cancels":
                session.cancel(Run(JOB_ID, 1))
            case "stops":
                session.stop(Run(JOB_ID, 1))
            case "offers":
                session.offer(pb.Offer(job=pb.Job(job_id=OTHER_ID, attempt=1)))
            case "answers":  # the claim has no attempt, so it is refused as it is read
                claim = pb.Claim(entry_id=1, job_id=OTHER_ID, policy=POLICY)
                further.put_nowait(pb.SessionRequest(claims=[claim]))
            case "heartbeat":
                further.put_nowait(pb.SessionRequest(heartbeat=pb.Heartbeat()))
        sent = await response
    reading.cancel()

    assert [field.name for field, _ in sent.ListFields()] == [due] * (due != "heartbeat")
