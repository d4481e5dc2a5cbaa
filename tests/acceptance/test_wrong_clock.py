"""A facade whose clock is hours or days from the broker's."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id

RING = {"FABRIC_JOBS_RECORD_KEYS": "one:YF6d7kknEK/Z2k4jX7jC9yO0PEnqr9LVYL1QbjRFxfc="}


@pytest.mark.parametrize(("hours", "ring"), [(-2, {}), (-48, RING), (48, RING)], ids=str)
async def test_facade_with_a_wrong_clock_accepts_no_job_until_the_clock_is_right(
    apache: Cluster, topic: str, tmp_path: Path, hours: int, ring: dict[str, str]
) -> None:
    """A job that it accepted would fail at once as not started in time. The other facade works.

    Record codes with a time more than a day off are refused, and the broker's time is learnt all
    the same.
    """
    environment = apache.environment(topic) | ring
    right = tmp_path / "right"
    wrong = environment | {
        "SKEWED_FACADE_RIGHT": str(right),
        "SKEWED_FACADE_HOURS": str(hours),
    }
    async with (
        facade(**environment) as good,
        facade("tests.support.skewed_facade", **wrong) as skewed,
        executor(HANDLERS, good, **environment),
        Fabric(good) as fabric,
        Fabric(skewed) as other,
        httpx.AsyncClient() as client,
    ):
        ready = skewed.ready["http"].removesuffix("/workload") + "/readyz"
        async with asyncio.timeout(30):
            while (await client.get(ready)).status_code != 503:
                await asyncio.sleep(0.1)
        refused = await other.create(new_id())
        accepted = new_id()
        assert (await fabric.create(accepted)).status_code == 202
        await fabric.until(accepted, "Completed")
        assert (await other.state(accepted)).json()["status"] == "Completed"

        right.touch()
        async with asyncio.timeout(30):
            while (await client.get(ready)).status_code != 200:
                await asyncio.sleep(0.1)
        job_id = new_id()
        assert (await other.create(job_id)).status_code == 202
        await other.until(job_id, "Completed")

    assert refused.status_code == 503
    assert "clock" in refused.json()["message"]
