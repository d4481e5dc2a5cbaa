"""The cost of many stored jobs, compared with a service that has few."""

import time
from contextlib import AsyncExitStack

from bench import load
from bench.figures.bootstrap import bootstrap, keep
from bench.ground import Ground, instances
from bench.report import Series
from bench.usage import resident_mb
from bench.work import work

FEW = 1000
WARM_UP_S = 2


async def stored(ground: Ground) -> dict[str, Series]:
    """Measure replay, memory, restart and creates, with many jobs and with few."""
    names = ("replay_vs_raw", "million_jobs_mb", "restart_growth", "accept_at_million")
    replay, memory, restart, accept = (Series() for _ in names)
    few, many = await keep(ground, FEW), await keep(ground, ground.effort.stored)
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
        **await bootstrap(ground, many),
    }
