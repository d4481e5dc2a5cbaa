"""Faults of the paths between executors and facades."""

import asyncio
from random import Random

from tests.chaos.cluster import SILENT_S, Cluster, a_while
from tests.chaos.proxy import Proxy, all_of


async def path_silent_for_long(cluster: Cluster, dice: Random) -> None:
    """No executor hears one of the facades for two leases, and the facade hears none of them."""
    number = dice.randrange(len(cluster.facades))
    async with all_of(executor.paths[number].silent() for executor in cluster.executors):
        await asyncio.sleep(SILENT_S)


async def path_dropped(cluster: Cluster, dice: Random) -> None:
    """Reset old and new connections of some executors to the facades."""
    async with all_of(path.dropping() for path in _paths(cluster, dice)):
        await a_while(dice)


async def path_silent(cluster: Cluster, dice: Random) -> None:
    """Hold back all bytes between some executors and the facades."""
    async with all_of(path.silent() for path in _paths(cluster, dice)):
        await a_while(dice)


def _paths(cluster: Cluster, dice: Random) -> list[Proxy]:
    """The paths of one executor, or of all of them."""
    executors = dice.sample(cluster.executors, dice.choice([1, len(cluster.executors)]))
    return [path for executor in executors for path in executor.paths]
