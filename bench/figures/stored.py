"""The cost of many stored jobs, compared with a service that has few."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import NamedTuple

from bench import load
from bench.ground import Ground, instances
from bench.load import WrongAnswerError
from bench.report import Series
from bench.usage import resident_mb
from bench.work import work
from fabric_jobs.facade.peers import HEARTBEAT_S

FEW = 1000
WARM_UP_S = 2


class Kept(NamedTuple):
    """A topic with jobs, and the state of a replica that read the topic."""

    topic: str
    state_dir: Path
    #: Seconds in which the replica read the topic.
    replay_s: float


async def stored(ground: Ground) -> dict[str, Series]:
    """Measure replay, memory, restart and creates, with many jobs and with few."""
    names = ("replay_vs_raw", "million_jobs_mb", "restart_growth", "accept_at_million")
    replay, memory, restart, accept = (Series() for _ in names)
    few, many = await _keep(ground, FEW), await _keep(ground, ground.effort.stored)
    # One round, because it takes minutes, in which disturbances even out.
    raw = await work("raw", "replay", ground.kafka.bootstrap_servers, many.topic)
    ours_per_s, raw_per_s = raw["records"] / many.replay_s, raw["records"] / raw["seconds"]
    replay.add(ours_per_s / raw_per_s, ours_per_s=ours_per_s, raw_per_s=raw_per_s)
    for _ in range(ground.effort.rounds):
        ready_s, mb, rates = [], [], []
        async with AsyncExitStack() as stack:
            for kept in (few, many):
                begun = time.perf_counter()
                facade = await stack.enter_async_context(ground.facade(kept.topic, kept.state_dir))
                ready_s.append(time.perf_counter() - begun)
                url = instances(facade, "nothing")
                await load.creates(url, ground.headers, WARM_UP_S)
                rates.append((await load.creates(url, ground.headers, ground.effort.seconds)).rate)
                mb.append(resident_mb(facade.process.pid))
                await facade.stop()
        memory.add(mb[1] - mb[0], few_mb=mb[0], many_mb=mb[1])
        restart.add(ready_s[1] / ready_s[0], few_s=ready_s[0], many_s=ready_s[1])
        accept.add(rates[1] / rates[0], few_per_s=rates[0], many_per_s=rates[1])
    return {
        **dict(zip(names, (replay, memory, restart, accept), strict=True)),
        **await _bootstrap(ground, many),
    }


async def _bootstrap(ground: Ground, kept: Kept) -> dict[str, Series]:
    """Measure the start of a new replica beside one with many jobs."""
    vs_copy, vs_replay = Series(), Series()
    async with ground.facade(kept.topic, kept.state_dir) as neighbour:
        for _ in range(ground.effort.rounds):
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
            vs_copy.add(
                ready_s / copied["seconds"],
                ready_s=ready_s,
                copy_s=copied["seconds"],
                mb=copied["bytes"] / 1e6,
            )
            vs_replay.add(ready_s / kept.replay_s, ready_s=ready_s, replay_s=kept.replay_s)
        await neighbour.stop()
    return {"bootstrap_vs_copy": vs_copy, "bootstrap_vs_replay": vs_replay}


async def _keep(ground: Ground, jobs: int) -> Kept:
    """Fill a topic with jobs, and let a replica read it and stop."""
    topic, state_dir = ground.topic(), ground.state_dir()
    # One replica creates the topic; another one without state reads it.
    async with ground.facade(topic):
        pass
    await work("seed", ground.kafka.bootstrap_servers, topic, str(jobs))
    begun = time.perf_counter()
    async with ground.facade(topic, state_dir) as facade:
        replay_s = time.perf_counter() - begun
        await facade.stop()
    with closing(sqlite3.connect(state_dir / "replica.sqlite")) as db:
        (read,) = db.execute("SELECT count(*) FROM jobs WHERE status = 'Completed'").fetchone()
    if read != jobs:
        raise WrongAnswerError(f"of {jobs} jobs, the replica has {read}")
    return Kept(topic, state_dir, replay_s)
