"""Faults of the paths between executors and facades."""

import asyncio
from contextlib import AsyncExitStack
from random import Random

from tests.chaos.cluster import SILENT_S, Cluster, Executor, a_while


async def path_silent_for_long(cluster: Cluster, dice: Random) -> None:
    """No executor hears one of the facades for two leases, and the facade hears none of them."""
    number = dice.randrange(len(cluster.facades))
    async with AsyncExitStack() as stack:
        for executor in cluster.executors:
            await stack.enter_async_context(executor.paths[number].silent())
        await asyncio.sleep(SILENT_S)


async def path_dropped(cluster: Cluster, dice: Random) -> None:
    """Reset old and new connections of some executors to the facades."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.dropping())
        await a_while(dice)


async def path_silent(cluster: Cluster, dice: Random) -> None:
    """Hold back all bytes between some executors and the facades."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.silent())
        await a_while(dice)


def _executors(cluster: Cluster, dice: Random) -> list[Executor]:
    """One executor, or all of them."""
    return dice.sample(cluster.executors, dice.choice([1, len(cluster.executors)]))
