"""Facades that were away: what they could not hear meanwhile counts against no run."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.brokers import Cluster
from tests.support.programs import (
    HANDLERS,
    Fabric,
    addresses,
    await_content,
    executor,
    facade,
    new_id,
)

#: The run timeout of the handler `timed`.
RUN_TIMEOUT = timedelta(seconds=3)


async def test_run_that_ends_in_time_while_all_facades_are_away_is_completed(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """The restarted facade finds the run timeout over, and hears the report first. The job's end
    time is the handler's and not the report's."""
    environment = apache.environment(topic)
    journal, go = tmp_path / "journal", tmp_path / "go"
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "timed") as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal), "until": str(go)})
        started = await fabric.until(job_id, "InProgress")
        # Fabric may see InProgress before the executor has its grant.
        await await_content(journal)
        await one.kill()
        go.touch()
        timeout_at = datetime.fromisoformat(started["startTimeUtc"]) + RUN_TIMEOUT
        # The timeout must be over before the facade is back.
        await asyncio.sleep((timeout_at - datetime.now(UTC)).total_seconds() + 1)
        async with facade(**environment | addresses(one)):
            ended = await fabric.until(job_id, "Completed", "Failed", within_s=60)

    assert ended["status"] == "Completed", ended
    assert datetime.fromisoformat(ended["endTimeUtc"]) < timeout_at
