"""The test of health: every broker is in sync and every program works, seen from outside."""

import asyncio
from collections.abc import Awaitable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.chaos.cluster import HEARTBEATS, TOPIC, AssumptionError, Cluster, Executor
from tests.chaos.traffic import Traffic

#: Seconds within which the programs must be healthy after a fault, once the brokers are in sync.
HEALTHY_S = 60.0
#: Seconds within which the brokers must be in sync. They are not what is judged, so it is long.
IN_SYNC_S = 180.0
TOPICS = [TOPIC, HEARTBEATS, "__consumer_offsets"]


class NotRecoveredError(Exception):
    """A part of the product did not recover in time; the message names the part."""


async def healthy(cluster: Cluster, traffic: Traffic) -> None:
    """Return once the cluster is healthy. Traffic must continue, because executors need jobs.

    Raises `AssumptionError` about brokers, and `NotRecoveredError` about programs.
    """
    try:
        async with asyncio.timeout(IN_SYNC_S):
            while not await _in_sync(cluster):
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise AssumptionError("the brokers were not in sync in time") from error
    await asyncio.gather(
        *(_within(one.ready(), f"{one.name} is not ready") for one in cluster.programs)
    )
    await asyncio.gather(
        *(
            _within(traffic.canary(number), f"facade-{number} serves no job")
            for number in range(len(cluster.facades))
        ),
        *(_within(_runs(one), f"{one.program.name} runs no job") for one in cluster.executors),
    )


async def _within(condition: Awaitable[None], otherwise: str) -> None:
    try:
        async with asyncio.timeout(HEALTHY_S):
            await condition
    except TimeoutError as error:
        raise NotRecoveredError(f"{otherwise} after {HEALTHY_S:.0f} s") from error


async def _runs(executor: Executor) -> None:
    before = executor.journal.stat().st_size
    while executor.journal.stat().st_size == before:
        await asyncio.sleep(0.1)


async def _in_sync(cluster: Cluster) -> bool:
    """Whether every replica of every partition is in sync."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka.bootstrap_servers)
    try:
        await admin.start()
        topics = await admin.describe_topics(TOPICS)
    except KafkaError:
        return False
    finally:
        await admin.close()
    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return bool(partitions) and all(
        not partition["error_code"] and set(partition["isr"]) == set(partition["replicas"])
        for partition in partitions
    )
