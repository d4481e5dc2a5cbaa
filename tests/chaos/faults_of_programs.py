"""Faults of facades and executors: their processes, their clocks, and the state on their disks."""

import asyncio
from contextlib import suppress
from random import Random

from tests.chaos import disk
from tests.chaos.cluster import SHORT_S, SILENT_S, Cluster, a_while
from tests.chaos.supervised import Supervised

#: Seconds of a step that a facade bears, and of one with which it must not work.
SMALL_STEP_S = 10
LARGE_STEP_S = 2 * 60 * 60
#: Seconds of a step: a facade notices it at its next heartbeat, after five seconds at most.
STEPPED_S = 8.0
#: Seconds in which a facade is ready again once its disk has room.
READY_S = 30


async def facade_killed(cluster: Cluster, dice: Random) -> None:
    """kill -9."""
    async with dice.choice(cluster.facades).program.down():
        pass


async def facade_paused(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP, SIGCONT."""
    async with dice.choice(cluster.facades).program.paused():
        await a_while(dice)


async def facade_silent(cluster: Cluster, dice: Random) -> None:
    """SIGSTOP for two leases: its executors must leave it before the first lease is over."""
    async with dice.choice(cluster.facades).program.paused():
        await asyncio.sleep(SILENT_S)


async def facades_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM to each, one after the other."""
    await _roll([facade.program for facade in cluster.facades], dice)


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
        await a_while(dice)


async def executors_rolled(cluster: Cluster, dice: Random) -> None:
    """SIGTERM to each, one after the other."""
    await _roll([executor.program for executor in cluster.executors], dice)


async def facade_state_damaged(cluster: Cluster, dice: Random) -> None:
    """kill -9, and a restart on a state of which one page has other bytes."""
    facade = dice.choice(cluster.facades)
    async with facade.program.down():
        disk.damage(facade.state_dir, dice)


async def facade_disk_full(cluster: Cluster, dice: Random) -> None:
    """No byte can be written beside the state: the facade ends, and is ready only with room."""
    facade = dice.choice(cluster.facades)
    with facade.program.allowed_to_end():
        with disk.full(facade.state_dir):
            await a_while(dice)
        with suppress(TimeoutError):  # the test of health then says what is wrong
            await asyncio.wait_for(facade.program.ready(), READY_S)


async def clock_stepped(cluster: Cluster, dice: Random) -> None:
    """The wall clock of a facade goes 10 seconds or 2 hours ahead or back, and returns."""
    facade = dice.choice(cluster.facades)
    seconds = dice.choice([SMALL_STEP_S, LARGE_STEP_S]) * dice.choice([1, -1])
    with facade.clock.stepped(seconds):
        await asyncio.sleep(STEPPED_S)


async def _roll(programs: list[Supervised], dice: Random) -> None:
    for program in dice.sample(programs, len(programs)):
        await program.terminate()
        await program.ready()
