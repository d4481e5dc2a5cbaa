"""Failpoints: each breaks one thing and restores it; a fault is one of them, or a pair.

Random numbers from the seed decide what is broken and for how long, so that a seed repeats its
faults. A fault is short, or longer than a lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Literal, NamedTuple

from tests.chaos import clock, disk, faults_of_brokers, faults_of_paths, faults_of_programs
from tests.chaos.cluster import Cluster
from tests.chaos.goals import ALL_BROKERS, NO_WRONG_EXPIRY, ONE_BROKER, ONE_PROGRAM, Goal

#: One of so many faults is a pair.
PAIR_EVERY = 8
#: Seconds from the first fault of a pair to the second, at most, if they come together.
APART_S = 1.0


def _available() -> str | None:
    return None


class Failpoint(NamedTuple):
    """A fault by name; `inject` returns once it is undone."""

    name: str
    #: What is broken. The two faults of a pair break different things.
    target: Literal["facade", "executor", "broker", "path"]
    #: Whether replicas may be unable to read the log's end during the fault.
    disturbs_log: bool
    inject: Callable[[Cluster, Random], Awaitable[None]]
    #: Why this machine can't inject the fault, or None.
    why_unavailable: Callable[[], str | None] = _available
    #: What the fault shall cost at most.
    goal: Goal | None = None


FAILPOINTS = (
    Failpoint("facade-killed", "facade", False, faults_of_programs.facade_killed, goal=ONE_PROGRAM),
    Failpoint("facade-paused", "facade", False, faults_of_programs.facade_paused),
    Failpoint("facade-silent", "facade", False, faults_of_programs.facade_silent),
    Failpoint("facades-rolled", "facade", False, faults_of_programs.facades_rolled),
    Failpoint("facade-state-lost", "facade", False, faults_of_programs.facade_state_lost),
    Failpoint("facade-state-damaged", "facade", False, faults_of_programs.facade_state_damaged),
    Failpoint(
        "facade-disk-full",
        "facade",
        False,
        faults_of_programs.facade_disk_full,
        disk.why_unavailable,
    ),
    Failpoint(
        "clock-stepped",
        "facade",
        False,
        faults_of_programs.clock_stepped,
        clock.why_unavailable,
        NO_WRONG_EXPIRY,
    ),
    Failpoint(
        "executor-killed", "executor", False, faults_of_programs.executor_killed, goal=ONE_PROGRAM
    ),
    Failpoint(
        "handler-processes-killed", "executor", False, faults_of_programs.handler_processes_killed
    ),
    Failpoint("executor-paused", "executor", False, faults_of_programs.executor_paused),
    Failpoint("executors-rolled", "executor", False, faults_of_programs.executors_rolled),
    Failpoint("broker-killed", "broker", True, faults_of_brokers.broker_killed, goal=ONE_BROKER),
    Failpoint("broker-paused", "broker", True, faults_of_brokers.broker_paused, goal=ONE_BROKER),
    Failpoint("broker-down", "broker", True, faults_of_brokers.broker_down, goal=ONE_BROKER),
    Failpoint("brokers-down", "broker", True, faults_of_brokers.brokers_down, goal=ALL_BROKERS),
    Failpoint(
        "broker-power-lost", "broker", True, faults_of_brokers.broker_power_lost, goal=ONE_BROKER
    ),
    Failpoint("broker-cut-off", "broker", True, faults_of_brokers.broker_cut_off, goal=ONE_BROKER),
    Failpoint("facade-cut-off", "broker", True, faults_of_brokers.facade_cut_off),
    Failpoint("leaders-moved", "broker", True, faults_of_brokers.leaders_moved),
    Failpoint("path-dropped", "path", False, faults_of_paths.path_dropped),
    Failpoint("path-silent", "path", False, faults_of_paths.path_silent),
    Failpoint("path-silent-for-long", "path", False, faults_of_paths.path_silent_for_long),
)

GOALS = {one.name: one.goal for one in FAILPOINTS if one.goal}


class Fault(NamedTuple):
    """One failpoint, or two at once, or one within the recovery of the other."""

    failpoints: tuple[Failpoint, ...]
    #: Whether both of a pair are injected at about the same time.
    together: bool
    dice: Random

    @property
    def kind(self) -> str:
        """The name by which figures are collected."""
        return self.failpoints[0].name if len(self.failpoints) == 1 else "pair"

    @property
    def name(self) -> str:
        """What happens."""
        return (" with " if self.together else ", then ").join(one.name for one in self.failpoints)

    @property
    def disturbs_log(self) -> bool:
        """Whether replicas may be unable to read the log's end during the fault."""
        return any(one.disturbs_log for one in self.failpoints)

    async def inject(self, cluster: Cluster) -> None:
        """Returns once everything is undone."""
        if not self.together:
            for failpoint in self.failpoints:
                await failpoint.inject(cluster, self.dice)
            return
        async with asyncio.TaskGroup() as tasks:
            for number, failpoint in enumerate(self.failpoints):
                delay_s = number * self.dice.uniform(0, APART_S)
                dice = Random(self.dice.getrandbits(64))
                tasks.create_task(_after(delay_s, failpoint, cluster, dice))


async def _after(delay_s: float, failpoint: Failpoint, cluster: Cluster, dice: Random) -> None:
    await asyncio.sleep(delay_s)
    await failpoint.inject(cluster, dice)


def schedule(seed: int, failpoints: Sequence[Failpoint] = FAILPOINTS) -> Iterator[Fault]:
    """An endless sequence of a seed's faults.

    Each round has all kinds of faults in a random order. Pairs lie between them, if the kinds break
    different things.
    """
    order = Random(f"{seed} faults")
    pairs = [
        (one, other) for one in failpoints for other in failpoints if one.target != other.target
    ]
    single = 0
    for number in count():
        for failpoint in order.sample(failpoints, len(failpoints)):
            yield Fault((failpoint,), False, Random(f"{seed} {failpoint.name} {number}"))
            single += 1
            if pairs and single % (PAIR_EVERY - 1) == 0:
                dice = Random(f"{seed} pair {single}")
                yield Fault(order.choice(pairs), dice.random() < 0.5, dice)
