"""What goes wrong: each failpoint breaks something, and makes it whole again.

Its dice decide which and how long, so that a seed gives the same faults each time. Lengths are
short, or longer than a lease.
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


class Failpoint(NamedTuple):
    """A fault by name; `inject` returns once it is undone."""

    name: str
    #: Whether replicas may lose sight of the log's end meanwhile.
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


async def facades_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM, one after the other."""
    for facade in dice.sample(cluster.facades, len(cluster.facades)):
        await facade.program.terminate()
        await facade.program.ready()


async def facade_state_lost(cluster: Cluster, dice: Random) -> None:
    """kill -9, and its state is gone when it starts again."""
    facade = dice.choice(cluster.facades)
    async with facade.program.down():
        for file in facade.state_dir.iterdir():
            file.unlink()


async def executor_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9."""
    async with dice.choice(cluster.executors).program.down():
        pass


async def executor_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    async with dice.choice(cluster.executors).program.paused():
        await _a_while(dice)


async def executors_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM, one after the other."""
    for executor in dice.sample(cluster.executors, len(cluster.executors)):
        await executor.program.terminate()
        await executor.program.ready()


async def broker_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9, and started again at once."""
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
    """kill -9, and the others go on without it for a while."""
    node = dice.randrange(BROKERS)
    cluster.kafka.kill(node)
    await asyncio.sleep(LONG_S)
    await cluster.restart_brokers(node)


async def brokers_down(cluster: Cluster, dice: Random) -> None:
    """kill -9 of all of them."""
    nodes = range(BROKERS)
    for node in nodes:
        cluster.kafka.kill(node)
    await asyncio.sleep(SHORT_S)
    await cluster.restart_brokers(*nodes)


async def path_dropped(cluster: Cluster, dice: Random) -> None:
    """The connections of some executors to the facades are reset, and new ones are."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.dropping())
        await _a_while(dice)


async def path_silent(cluster: Cluster, dice: Random) -> None:
    """The connections of some executors to the facades carry nothing."""
    async with AsyncExitStack() as stack:
        for executor in _executors(cluster, dice):
            for path in executor.paths:
                await stack.enter_async_context(path.silent())
        await _a_while(dice)


FAILPOINTS = (
    Failpoint("facade-killed", False, facade_killed),
    Failpoint("facade-paused", False, facade_paused),
    Failpoint("facades-rolled", False, facades_rolled),
    Failpoint("facade-state-lost", False, facade_state_lost),
    Failpoint("executor-killed", False, executor_killed),
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
    """The faults of a seed with their dice, without end: rounds of all kinds, each shuffled."""
    order = Random(f"{seed} faults")
    for number in count():
        for failpoint in order.sample(failpoints, len(failpoints)):
            yield failpoint, Random(f"{seed} {failpoint.name} {number}")


async def _a_while(dice: Random) -> None:
    await asyncio.sleep(dice.choice([SHORT_S, LONG_S]))


def _executors(cluster: Cluster, dice: Random) -> list[Executor]:
    """One, or all."""
    return dice.sample(cluster.executors, dice.choice([1, len(cluster.executors)]))
