"""Reads over two replicas: an answer never goes back, whichever replica gives it."""

import asyncio

import pytest

from tests.support.programs import Fabric, Program, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_poll_after_an_answer_of_another_replica_never_goes_back(
    replicas: tuple[Program, Program],
) -> None:
    """Two hundred cancels, each polled immediately on the other replica: every one is shown."""
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:

        async def cancelled_and_polled(place: int) -> list[str]:
            here, there = (one, two) if place % 2 else (two, one)
            job_id = new_id()
            await here.create(job_id)
            before = await there.state(job_id)
            cancelled = await here.cancel(job_id)
            after = await there.state(job_id)
            return [answer.json()["status"] for answer in (before, cancelled, after)]

        seen = [await cancelled_and_polled(place) for place in range(200)]

    assert {tuple(statuses) for statuses in seen} == {("NotStarted", "Cancelled", "Cancelled")}


async def test_poll_after_a_completion_shown_by_another_replica_shows_it(
    replicas: tuple[Program, Program], runner: Program
) -> None:
    """Fifty jobs that run while both replicas are polled in turn: no status ever goes back."""
    ranks = ("NotStarted", "InProgress", "Completed")
    async with Fabric(replicas[0]) as one, Fabric(replicas[1]) as two:
        for _ in range(50):
            job_id, shown = new_id(), list[int]()
            await one.create(job_id)
            async with asyncio.timeout(30):
                while not shown or ranks[shown[-1]] != "Completed":
                    here = (one, two)[len(shown) % 2]
                    shown.append(ranks.index((await here.state(job_id)).json()["status"]))

            assert shown == sorted(shown)
