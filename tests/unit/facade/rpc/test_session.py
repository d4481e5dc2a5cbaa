"""One stream's bounds, and what it says of the runs that its executor lists."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import Command, Reason, Refusal
from fabric_jobs.facade.rpc.session import MAX_BEAT_RUNS, MAX_WORKING, Session
from fabric_jobs.status.v1 import job_status_pb2 as pb

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
HELLO = pb.Hello(
    executor_id="executor",
    pool="pool",
    slots=3,
    job_types=[pb.JobType(item_type="Item", job_type="job")],
)


class Facade:
    """Jobs that are all refused, no job that is known, and a roster that remembers."""

    def __init__(self) -> None:
        self.beats: list[ExecutorHeartbeat] = []
        self.session = Session(HELLO, self, self, self)  # type: ignore[arg-type]

    async def execute(self, command: Command, read_to: int) -> Any:
        """Decided against."""
        raise RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True))

    def get(self, job_id: str) -> None:
        """Nothing is known."""

    async def publish(self, heartbeat: ExecutorHeartbeat) -> None:
        """Remembers it."""
        self.beats.append(heartbeat)


async def test_a_stream_that_nobody_reads_is_not_asked_for_more() -> None:
    """What is not answered stays in the stream, until answers are taken."""
    session = Facade().session
    asked = 0
    most = 3 * MAX_WORKING

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        nonlocal asked
        for asked in range(1, most + 1):
            yield pb.SessionRequest(claims=[pb.Claim(entry_id=asked, job_id=JOB_ID, attempt=1)])

    reading = asyncio.create_task(session.read(pb.SessionRequest(hello=HELLO), requests()))
    for _ in range(most):  # more turns than the whole would need
        await asyncio.sleep(0)
    assert asked == MAX_WORKING + 1
    answered = [answer.entry_id async for one in session.responses() for answer in one.answers]
    await reading

    assert sorted(answered) == list(range(1, most + 1))


async def test_a_heartbeat_is_shared_with_what_the_executor_said_of_itself() -> None:
    """In parts, where it lists more runs than a record holds; claims count as runs."""
    facade = Facade()
    runs = [pb.Run(job_id=f"job {number}", attempt=1) for number in range(MAX_BEAT_RUNS)]
    claims = [pb.Run(job_id="claimed", attempt=2)]
    heartbeat = pb.Heartbeat(runs=runs, claims=claims, free_slots=2)

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(heartbeat=pb.Heartbeat())

    await facade.session.read(pb.SessionRequest(hello=HELLO, heartbeat=heartbeat), requests())
    assert [response async for response in facade.session.responses()] == []
    first, second, empty = facade.beats

    assert (first.executor_id, first.pool, first.slots, first.free_slots) == (
        "executor",
        "pool",
        3,
        2,
    )
    assert first.job_kinds == (JobKind("Item", "job"),)
    assert len(first.runs) == MAX_BEAT_RUNS
    assert second.runs == (Run("claimed", 2),)
    assert empty.runs == ()


async def test_a_run_is_told_to_stop_once_in_a_message() -> None:
    """However often it is listed before the message goes down."""
    session = Facade().session
    for _ in range(3):
        session.cancel(pb.Run(job_id=JOB_ID, attempt=1))
    session.end()

    (response,) = [response async for response in session.responses()]
    assert [run.job_id for run in response.cancels] == [JOB_ID]


async def test_what_an_executor_is_full_of_is_not_wanted_until_its_next_heartbeat() -> None:
    """It would crowd out what that one has room for."""
    session = Facade().session
    kinds = session.wanted

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(heartbeat=pb.Heartbeat(full_job_types=HELLO.job_types))
        full.append(session.wanted)
        yield pb.SessionRequest(heartbeat=pb.Heartbeat())

    full: list[tuple[JobKind, ...]] = []
    await session.read(pb.SessionRequest(hello=HELLO), requests())

    assert full == [()]
    assert session.wanted == kinds == (JobKind("Item", "job"),)
