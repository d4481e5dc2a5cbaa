"""What facades push to the executors whose sessions are open, when they read an event."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fabric_jobs.contract.events import decode
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat
from fabric_jobs.facade.replica import Change
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import open_controls
from tests.support.golden import golden

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
LONGEST_LIFE_S = 86_400


class FakeFacade:
    """A replica without jobs, and a roster that forgets heartbeats."""

    def __init__(self) -> None:
        self.listeners: set[Callable[[Change], None]] = set()
        #: The other facades agree with this one.
        self.peers = SimpleNamespace(conflict="", longest_life_s=LONGEST_LIFE_S)
        self.sessions = Sessions(self, self, self, open_controls())  # type: ignore[arg-type]

    def get(self, job_id: str) -> None:
        """Returns no job."""

    def find(self, executor_id: str) -> None:
        """Returns no heartbeat."""

    async def publish(self, heartbeat: ExecutorHeartbeat) -> None:
        """Does nothing."""

    def read(self, name: str) -> None:
        """Reads a golden event, which applies."""
        event = decode(golden(name))
        job = SimpleNamespace(job_id=event.subject, state=event.data.state)
        for listener in self.listeners:
            listener(Change(cast("Any", event), cast("Any", SimpleNamespace(job=job))))


@pytest.mark.parametrize(
    ("name", "attempt", "executor_id", "pushed"),
    [
        ("cancel-requested", 2, "executor-b", "cancels"),
        ("failed", 2, "executor-b", "stops"),
        ("cancelled", 2, "executor-b", "stops"),
        ("attempt-failed", 1, "executor-a", "stops"),
        # Attempt 1 lost its lease. The event no longer says who held it.
        ("requeued", 1, "executor-a", "stops"),
        ("completed", 2, "executor-b", ""),
        ("failed", 1, "executor-b", ""),
        ("failed", 2, "executor-c", ""),
    ],
)
async def test_sessions_push_the_end_of_an_attempt_to_the_executor_that_holds_it(
    name: str, attempt: int, executor_id: str, pushed: str
) -> None:
    """Nothing waits for the executor's next heartbeat."""
    facade = FakeFacade()
    run = pb.Run(job_id=JOB_ID, attempt=attempt)
    may_end = asyncio.Event()

    async def requests() -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(
            hello=pb.Hello(executor_id=executor_id, slots=3), heartbeat=pb.Heartbeat(runs=[run])
        )
        await may_end.wait()

    without_tls = cast("Any", SimpleNamespace(auth_context=dict))
    responses = facade.sessions.serve(requests(), without_tls)
    assert await anext(responses) == pb.SessionResponse()  # the answer to the heartbeat
    facade.read(name)
    async with asyncio.timeout(10):
        got = [await anext(responses)] if pushed else []
    may_end.set()

    got += [response async for response in responses]
    assert [(list(one.cancels), list(one.stops)) for one in got] == (
        [([run], []) if pushed == "cancels" else ([], [run])] if pushed else []
    )


async def test_sessions_keep_an_executors_new_stream_when_its_earlier_one_ends() -> None:
    """An executor may connect again before this facade notices the end of the earlier stream."""
    facade = FakeFacade()
    run = pb.Run(job_id=JOB_ID, attempt=2)
    may_end = [asyncio.Event(), asyncio.Event()]

    async def requests(end: asyncio.Event) -> AsyncIterator[pb.SessionRequest]:
        yield pb.SessionRequest(
            hello=pb.Hello(executor_id="executor-b", slots=3), heartbeat=pb.Heartbeat(runs=[run])
        )
        await end.wait()

    without_tls = cast("Any", SimpleNamespace(auth_context=dict))
    earlier, new = (facade.sessions.serve(requests(end), without_tls) for end in may_end)
    for responses in (earlier, new):
        assert await anext(responses) == pb.SessionResponse()
    may_end[0].set()
    assert [response async for response in earlier] == []
    facade.read("cancel-requested")
    may_end[1].set()

    assert [list(response.cancels) async for response in new] == [[run]]
    assert not facade.sessions.open_sessions()
    assert not facade.sessions._by_executor  # each executor that ever connected would stay here
