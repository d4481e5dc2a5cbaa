"""A facade whose clock is hours from the broker's."""

import asyncio
from pathlib import Path

import httpx

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id


async def test_facade_with_a_wrong_clock_accepts_no_job_until_the_clock_is_right(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """A job that it accepted would fail at once as not started in time. The other facade works."""
    environment = apache.environment(topic)
    right = tmp_path / "right"
    wrong = environment | {"SKEWED_FACADE_RIGHT": str(right)}
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
