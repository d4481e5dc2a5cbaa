"""The response that a session sends next, without a stream."""

import asyncio

import pytest

from fabric_jobs.contract.heartbeats import Run
from fabric_jobs.facade.rpc import next_response
from fabric_jobs.facade.rpc.next_response import MAX_CONTENT_BYTES, NextResponse
from fabric_jobs.status.v1 import job_status_pb2 as pb

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
RUN, OTHER_RUN = Run(JOB_ID, 1), Run(JOB_ID, 2)


def test_run_that_is_cancelled_and_stopped_again_is_named_once_in_a_response() -> None:
    """A run is repeated in a later response only."""
    following = NextResponse()
    for _ in range(3):
        following.cancel(RUN)
        following.stop(RUN)
    first = following.take()
    following.stop(RUN)

    assert [run.attempt for run in first.cancels] == [1]
    assert not first.stops
    assert [run.attempt for run in following.take().stops] == [1]


def test_response_names_a_bounded_number_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next heartbeat leads to the others."""
    monkeypatch.setattr(next_response, "MAX_RESPONSE_RUNS", 1)
    following = NextResponse()
    following.cancel(RUN)
    following.stop(OTHER_RUN)
    response = following.take()

    assert [run.attempt for run in response.cancels] == [1]
    assert not response.stops


def test_heartbeat_makes_one_empty_response_due() -> None:
    """The response shows that the facade is there."""
    following = NextResponse()
    assert not following.is_due
    following.answer_heartbeat()
    assert following.is_due
    assert following.take() == pb.SessionResponse()
    assert not following.is_due


async def test_contents_of_granted_attempts_are_split_over_responses() -> None:
    """A client accepts 4 MiB in a message by default, and a grant may bring almost as much."""
    content = pb.Dispatch(payload=b"x" * (MAX_CONTENT_BYTES // 2))
    following = NextResponse()
    answering = [
        asyncio.create_task(
            following.answer(
                pb.Answer(entry_id=number, accepted=pb.Record(), dispatch=content),
            )
        )
        for number in range(1, 8)
    ]
    responses = list[pb.SessionResponse]()
    while not all(task.done() for task in answering):
        await asyncio.sleep(0)
        if following.is_due:
            responses.append(following.take())

    answered = [answer.entry_id for response in responses for answer in response.answers]
    assert sorted(answered) == list(range(1, 8))
    assert max(response.ByteSize() for response in responses) < MAX_CONTENT_BYTES + 1024


async def test_content_that_is_larger_than_the_bound_is_sent_alone() -> None:
    """A response has one content at least, so a large one does not wait for ever."""
    content = pb.Dispatch(payload=b"x" * (2 * MAX_CONTENT_BYTES))
    following = NextResponse()
    async with asyncio.timeout(10):
        await following.answer(pb.Answer(entry_id=1, dispatch=content))
        await following.answer(pb.Answer(entry_id=2))  # it has no content, so it does not wait

    assert [answer.entry_id for answer in following.take().answers] == [1, 2]
