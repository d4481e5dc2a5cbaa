"""One executor's session: its bounds, its heartbeats, and the runs that it cancels."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import Command, Reason, Refusal
from fabric_jobs.facade.rpc.session import MAX_HEARTBEAT_RUNS, MAX_PENDING_ENTRIES, Session
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import open_controls

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
HELLO = pb.Hello(
    executor_id="executor",
    pool="pool",
    slots=3,
    job_types=[pb.JobType(item_type="Item", job_type="job")],
)


class FakeFacade:
    """Jobs that refuse all commands, a replica without jobs, a roster that keeps heartbeats."""

    def __init__(self) -> None:
        self.heartbeats: list[ExecutorHeartbeat] = []
        self.session = Session(HELLO, self, self, self, open_controls())  # type: ignore[arg-type]

    async def execute(self, command: Command, read_to: int) -> Any:
        """Refuses the command."""
        raise RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True))

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


async def test_session_shares_a_heartbeat_in_parts_that_fit_a_record() -> None:
    """Each part says what the executor said of itself. Claims count as runs."""
    facade = FakeFacade()
    runs = [pb.Run(job_id=f"job {number}", attempt=1) for number in range(MAX_HEARTBEAT_RUNS)]
    claims = [pb.Run(job_id="claimed", attempt=2)]
    heartbeat = pb.Heartbeat(runs=runs, claims=claims, free_slots=2)

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(heartbeat=pb.Heartbeat())

    await facade.session.read(pb.SessionRequest(hello=HELLO, heartbeat=heartbeat), requests())
    assert [response async for response in facade.session.responses()] == []
    first, second, empty = facade.heartbeats

    assert (first.executor_id, first.pool, first.slots, first.free_slots) == (
        "executor",
        "pool",
        3,
        2,
    )
    assert first.job_kinds == (JobKind("Item", "job"),)
    assert len(first.runs) == MAX_HEARTBEAT_RUNS
    assert second.runs == (Run("claimed", 2),)
    assert empty.runs == ()


async def test_session_with_repeated_cancels_of_a_run_names_it_once_in_a_response() -> None:
    """A run is repeated in a later response only."""
    session = FakeFacade().session
    for _ in range(3):
        session.cancel(pb.Run(job_id=JOB_ID, attempt=1))
    session.end()

    (response,) = [response async for response in session.responses()]
    assert [run.job_id for run in response.cancels] == [JOB_ID]


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
        "claim": {"claims": [pb.Claim(entry_id=1, job_id=JOB_ID, attempt=1)]},
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
    (response,) = [response async for response in session.responses()]

    assert response.answers[0].HasField("refused")
    assert counts == ([2, 2] if held else [3, 2])
    assert session.slots.count == 3
