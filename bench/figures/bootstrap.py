"""The start of a new replica, with another replica beside it and without one."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench.ground import Ground
from bench.load import WrongAnswerError
from bench.report import Series
from bench.work import work
from fabric_jobs.facade.peers import HEARTBEAT_S

#: Numbers of jobs for the plot in docs/performance.md. Its last point is the run's many jobs.
SIZES = (10_000, 50_000, 200_000)


class Kept(NamedTuple):
    """A topic with jobs, and the state of a replica that read the topic."""

    topic: str
    state_dir: Path
    jobs: int
    #: Seconds until a replica without a state was ready, because it read the topic.
    replay_s: float


class Start(NamedTuple):
    """The start of a replica without a state, beside another replica."""

    #: Seconds until the replica was ready.
    ready_s: float
    #: Seconds in which the same file is copied over loopback.
    copy_s: float
    mb: float


class Point(NamedTuple):
    """A number of jobs, and the seconds until a new replica has them."""

    jobs: int
    replay_s: float
    ready_s: float
    copy_s: float


async def keep(ground: Ground, jobs: int) -> Kept:
    """Fill a topic with jobs, and let a replica read it and stop."""
    topic, state_dir = await ground.make_topic(), ground.state_dir()
    await work("seed", ground.kafka.bootstrap_servers, topic, str(jobs))
    begun = time.perf_counter()
    async with ground.facade(topic, state_dir) as facade:
        replay_s = time.perf_counter() - begun
        await facade.stop()
    with closing(sqlite3.connect(state_dir / "replica.sqlite")) as db:
        (read,) = db.execute("SELECT count(*) FROM jobs WHERE status = 'Completed'").fetchone()
    if read != jobs:
        raise WrongAnswerError(f"of {jobs} jobs, the replica has {read}")
    return Kept(topic, state_dir, jobs, replay_s)


async def starts(ground: Ground, kept: Kept, rounds: int) -> AsyncIterator[Start]:
    """Start new replicas, one after the other, beside a replica that has the jobs."""
    async with ground.facade(kept.topic, kept.state_dir) as neighbour:
        for _ in range(rounds):
            # The neighbour names its address in its next heartbeat.
            await asyncio.sleep(HEARTBEAT_S + 1)
            state_dir = ground.state_dir()
            begun = time.perf_counter()
            async with ground.facade(kept.topic, state_dir) as facade:
                ready_s = time.perf_counter() - begun
                await facade.stop()
            file, target = state_dir / "replica.sqlite", state_dir / "copy"
            copied = await work("loopback", str(file), str(target))
            shutil.rmtree(state_dir)
            yield Start(ready_s, copied["seconds"], copied["bytes"] / 1e6)
        await neighbour.stop()


async def bootstrap(ground: Ground, kept: Kept) -> dict[str, Series]:
    """Measure the start of a new replica beside one with these jobs."""
    vs_copy, vs_replay = Series(), Series()
    async for start in starts(ground, kept, ground.effort.rounds):
        vs_copy.add(start.ready_s / start.copy_s, **start._asdict())
        vs_replay.add(
            start.ready_s / kept.replay_s,
            jobs=kept.jobs,
            ready_s=start.ready_s,
            replay_s=kept.replay_s,
        )
    return {"bootstrap_vs_copy": vs_copy, "bootstrap_vs_replay": vs_replay}


async def by_jobs(ground: Ground) -> list[Point]:
    """Measure the start of a new replica for several numbers of jobs, once each."""
    points: list[Point] = []
    for jobs in SIZES:
        kept = await keep(ground, jobs)
        points += [
            Point(jobs, kept.replay_s, start.ready_s, start.copy_s)
            async for start in starts(ground, kept, rounds=1)
        ]
    return points
