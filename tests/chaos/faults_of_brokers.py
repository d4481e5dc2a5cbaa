"""Faults of the brokers, of their disks, and of the paths to them and between them."""

import asyncio
import time
from random import Random

from tests.chaos.cluster import (
    HEARTBEATS,
    LONG_S,
    PARTITIONS,
    SHORT_S,
    SILENT_S,
    TOPIC,
    Cluster,
    a_while,
)
from tests.chaos.kafka import BROKERS, NODES
from tests.chaos.proxy import all_of

#: Seconds of writes that a broker's disk has not got yet when the power goes.
UNFLUSHED_S = 1.5


async def broker_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9, and a restart at once."""
    await cluster.restart_brokers(dice.randrange(BROKERS))


async def broker_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    node = dice.randrange(BROKERS)
    cluster.kafka.pause(node)
    try:
        await a_while(dice)
    finally:
        cluster.kafka.resume(node)


async def broker_down(cluster: Cluster, dice: Random) -> None:
    """kill -9, and a restart after the others have worked without it for a while."""
    node = dice.randrange(BROKERS)
    cluster.kafka.kill(node)
    await asyncio.sleep(LONG_S)
    await cluster.restart_brokers(node)


async def brokers_down(cluster: Cluster, dice: Random) -> None:
    """kill -9 of all brokers, and a restart of all."""
    for node in NODES:
        cluster.kafka.kill(node)
    await asyncio.sleep(SHORT_S)
    await cluster.restart_brokers(*NODES)


async def broker_power_lost(cluster: Cluster, dice: Random) -> None:
    """kill -9 of one broker, whose disk lacks the last writes, and a restart."""
    node = dice.randrange(BROKERS)
    await asyncio.to_thread(cluster.kafka.lose_power, [node], time.time() - UNFLUSHED_S)
    await cluster.restart_brokers(node)


async def broker_cut_off(cluster: Cluster, dice: Random) -> None:
    """No other broker hears one of them, which still hears its clients and the controllers."""
    path = cluster.between_brokers[dice.randrange(BROKERS)]
    async with path.silent():
        await a_while(dice)


async def facade_cut_off(cluster: Cluster, dice: Random) -> None:
    """A facade hears no broker, and no broker hears the facade; its callers reach it."""
    async with all_of(path.silent() for path in dice.choice(cluster.facades).paths):
        await asyncio.sleep(dice.choice([SHORT_S, LONG_S, SILENT_S]))


async def leaders_moved(cluster: Cluster, dice: Random) -> None:
    """Partitions leave a broker each and come back, and the leaders change, while records flow."""
    for replicas in (BROKERS - 1, BROKERS):
        topics = {TOPIC: PARTITIONS, HEARTBEATS: 1}
        await asyncio.to_thread(cluster.kafka.reassign, topics, replicas, dice)
        await asyncio.to_thread(cluster.kafka.elect_leaders)
        await asyncio.sleep(SHORT_S)
