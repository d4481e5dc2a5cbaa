"""Failpoints: each breaks one thing and restores it.

Random numbers from the seed decide what is broken and for how long, so that a seed repeats its
faults. A fault is short, or longer than a lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from random import Random
from typing import NamedTuple

from tests.chaos.cluster import BROKERS, LEASE_S, Cluster, Executor

SHORT_S = 1.5
LONG_S = LEASE_S + 2
SILENT_S = 2 * LEASE_S


class Failpoint(NamedTuple):
    """A fault by name; `inject` returns once it is undone."""

    name: str
    #: Whether replicas may be unable to read the log's end during the fault.
    disturbs_log: bool
    inject: Callable[[Cluster, Random], Awaitable[None]]


async def facade_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9."""
    async with dice.choice(cluster.facades).program.down():
        pass


async def facade_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    async with dice.choice(cluster.facades).program.paused():
        await _a_while(dice)


async def facade_silent(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP for two leases: its executors must leave it before the first lease is over."""
    async with dice.choice(cluster.facades).program.paused():
        await asyncio.sleep(SILENT_S)


async def path_silent_for_long(cluster: Cluster, dice: Random) -> None:
    """No executor hears one of the facades for two leases, and the facade hears none of them."""
    number = dice.randrange(len(cluster.facades))
    async with AsyncExitStack() as stack:
        for executor in cluster.executors:
            await stack.enter_async_context(executor.paths[number].silent())
        await asyncio.sleep(SILENT_S)


async def facades_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM to each, one after the other."""
    for facade in dice.sample(cluster.facades, len(cluster.facades)):
        await facade.program.terminate()
        await facade.program.ready()


async def facade_state_lost(cluster: Cluster, dice: Random) -> None:
    """kill -9, and a restart without the replica's state."""
    facade = dice.choice(cluster.facades)
    async with facade.program.down():
        for file in facade.state_dir.iterdir():
            file.unlink()


async def executor_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9."""
    async with dice.choice(cluster.executors).program.down():
        pass


async def handler_processes_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9 of every process in which an executor runs handlers, twice."""
    executor = dice.choice(cluster.executors)
    for _ in range(2):
        await executor.program.kill_children()
        await asyncio.sleep(SHORT_S)


async def executor_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    async with dice.choice(cluster.executors).program.paused():
        await _a_while(dice)


async def executors_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM to each, one after the other."""
    for executor in dice.sample(cluster.executors, len(cluster.executors)):
        await executor.program.terminate()
        await executor.program.ready()


async def broker_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9, and a restart at once."""
    await cluster.restart_brokers(dice.randrange(BROKERS))


async def broker_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    node = dice.randrange(BROKERS)
    cluster.kafka.pause(node)
    try:
        await _a_while(dice)
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
    nodes = range(BROKERS)
    for node in nodes:
        cluster.kafka.kill(node)
    await asyncio.sleep(SHORT_S)
    await cluster.restart_brokers(*nodes)


async def path_dropped(cluster: Cluster, dice: Random) -> None:
    """Reset old and new connections of some executors to the facades."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.dropping())
        await _a_while(dice)


async def path_silent(cluster: Cluster, dice: Random) -> None:
    """Hold back all bytes between some executors and the facades."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.silent())
        await _a_while(dice)


FAILPOINTS = (
    Failpoint("facade-killed", False, facade_killed),
    Failpoint("facade-paused", False, facade_paused),
    Failpoint("facade-silent", False, facade_silent),
    Failpoint("path-silent-for-long", False, path_silent_for_long),
    Failpoint("facades-rolled", False, facades_rolled),
    Failpoint("facade-state-lost", False, facade_state_lost),
    Failpoint("executor-killed", False, executor_killed),
    Failpoint("handler-processes-killed", False, handler_processes_killed),
    Failpoint("executor-paused", False, executor_paused),
    Failpoint("executors-rolled", False, executors_rolled),
    Failpoint("broker-killed", True, broker_killed),
    Failpoint("broker-paused", True, broker_paused),
    Failpoint("broker-down", True, broker_down),
    Failpoint("brokers-down", True, brokers_down),
    Failpoint("path-dropped", False, path_dropped),
    Failpoint("path-silent", False, path_silent),
)


def schedule(
    seed: int, failpoints: Sequence[Failpoint] = FAILPOINTS
) -> Iterator[tuple[Failpoint, Random]]:
    """An endless sequence of a seed's faults with their random numbers.

    Each round has all kinds of faults in a random order.
    """
    order = Random(f"{seed} faults")
    for number in count():
        for failpoint in order.sample(failpoints, len(failpoints)):
            yield failpoint, Random(f"{seed} {failpoint.name} {number}")


async def _a_while(dice: Random) -> None:
    await asyncio.sleep(dice.choice([SHORT_S, LONG_S]))


def _executors(cluster: Cluster, dice: Random) -> list[Executor]:
    """One executor, or all of them."""
    return dice.sample(cluster.executors, dice.choice([1, len(cluster.executors)]))
