"""An executor's slots, seen from outside."""

from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, await_content, executor, facade, new_id


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic, a new pool and frequent heartbeats."""
    return apache.environment(topic) | {"FABRIC_JOBS_HEARTBEAT_S": "0.3"}


async def test_job_type_with_its_own_slots_leaves_the_other_slots_free(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """One job of the type runs, those of another type pass the waiting ones, and all complete.

    Jobs of the type wait on every partition. The others start within seconds all the same.
    """
    journal, go = tmp_path / "journal", tmp_path / "go"
    async with (
        facade(**environment) as one,
        Fabric(one, "rare") as rare,
        Fabric(one, "quick") as quick,
        executor(HANDLERS, one, **environment),
    ):
        waiting, passing = [new_id() for _ in range(40)], [new_id() for _ in range(6)]
        for job_id in waiting:
            await rare.create(job_id, {"journal": str(journal), "until": str(go)})
        await await_content(journal)
        for job_id in passing:
            await quick.create(job_id)
        for job_id in passing:
            await quick.until(job_id, "Completed", within_s=4)
        states = [(await rare.state(job_id)).json()["status"] for job_id in waiting]
        go.touch()
        for job_id in waiting:
            await rare.until(job_id, "Completed", within_s=60)

    assert sorted(states) == ["InProgress", *["NotStarted"] * 39]
    assert sorted(journal.read_text().splitlines()) == sorted(f"{job_id} 1" for job_id in waiting)


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_handler_that_ignores_its_cancel_loses_its_slot(
    environment: dict[str, str], is_cancelled: bool
) -> None:
    """The job ends after the cancel grace or the run timeout, and the next job runs."""
    async with (
        facade(**environment) as one,
        Fabric(one, "stubborn") as stubborn,
        Fabric(one, "quick") as quick,
        executor(HANDLERS, one, **environment, FABRIC_JOBS_SLOTS="1"),
    ):
        job_id, after = new_id(), new_id()
        await stubborn.create(job_id)
        await stubborn.until(job_id, "InProgress")
        if is_cancelled:
            await stubborn.cancel(job_id)
        await stubborn.until(job_id, "Cancelled" if is_cancelled else "Failed")
        await quick.create(after)
        await quick.until(after, "Completed", within_s=60)
