"""Runs one world: from a seed, through its script, to a verdict."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context

from msgspec import Struct, field

from tests.simulation.coverage import Coverage
from tests.simulation.faults import Fault, inject, make_script
from tests.simulation.handlers import ALL_KINDS, EXPIRED
from tests.simulation.judge import judge
from tests.simulation.loop import PLACE, Place
from tests.simulation.world import Shape, World, open_world

#: Faults a simulated second.
FAULT_RATE_PER_S = 1.6
#: Seconds without the end of a job after which the world counts as settled.
SETTLE_S = 600.0
DAY_S = 25 * 3600.0
Judge = Callable[[World], dict[str, list[str]]]


class Result(Struct):
    """What one world did, and the breaches that were found."""

    seed: str
    breaches: dict[str, list[str]] = field(default_factory=dict)
    trace: int = 0
    steps: int = 0
    simulated_s: float = 0.0
    jobs: int = 0
    faults: int = 0

    @property
    def held(self) -> bool:
        """Whether no promise was broken."""
        return not any(self.breaches.values())


def run_world(
    seed: str,
    *,
    shape: Shape | None = None,
    script: Sequence[Fault] | None = None,
    jobs: Sequence[int] | None = None,
    coverage: Coverage | None = None,
    logs: bool = False,
    judge: Judge = judge,
) -> Result:
    """Runs the world of a seed; `script` and `jobs` replace what the seed says.

    With `logs`, the product's warnings are logged. `judge` returns the breaches by their names.
    """
    coverage = coverage or Coverage()
    shape = shape or Shape.of(seed)
    if script is None:
        script = make_script(seed, shape.seconds, FAULT_RATE_PER_S)
    result = Result(seed)
    with open_world(seed, shape, jobs, logs=logs) as world:
        main = world.loop.create_task(_live(world, script), context=world.loop.outside)
        with coverage.observe(world.is_disturbed):
            world.loop.run_until_complete(main)
        result.trace, result.steps = world.loop.trace, world.loop.steps
        result.simulated_s, result.jobs = world.loop.time(), len(world.plans)
        result.faults = world.faults + sum(world.cluster.happened.values())
        result.breaches = judge(world)
    return result


async def _live(world: World, script: Sequence[Fault]) -> None:
    loop = world.loop
    loop.create_task(world.group.run())
    for node in world.nodes:
        node.start()
    context = copy_context()
    context.run(PLACE.set, Place("client", 0))
    clients = [
        loop.create_task(world.traffic.run(plan), context=context.copy()) for plan in world.plans
    ]
    operator = loop.create_task(world.traffic.operate(world.shape.seconds), context=context.copy())
    await _disturb(world, script)
    await asyncio.wait([operator], timeout=SETTLE_S)
    resuming = loop.create_task(world.traffic.resume_all(), context=context.copy())
    await asyncio.wait([resuming], timeout=SETTLE_S)
    if clients:
        await _end_jobs(world, clients)
    world.traffic.may_ask.set()
    last = loop.create_task(world.traffic.poll_all(), context=context.copy())
    await asyncio.wait([last], timeout=600.0)
    for node in reversed(world.nodes):
        stopping = loop.create_task(node.stop())
        await asyncio.wait([stopping], timeout=60.0)
        if not stopping.done():
            node.complaints.append(f"{node.name} did not stop within a minute")


async def _disturb(world: World, script: Sequence[Fault]) -> None:
    """Injects the faults; returns when they are over and every node runs again."""
    loop = world.loop
    for fault in script:
        # What comes after a leap is later by its seconds.
        await asyncio.sleep(fault.at + world.leaped_s - loop.time())
        await world.leap_ended.wait()
        inject(world, fault)
    await asyncio.sleep(world.shape.seconds + world.leaped_s - loop.time())
    await world.leap_ended.wait()
    loop.grain_s = 1.0
    await asyncio.sleep(120.0)
    for node in world.nodes:
        world.start(node)


async def _end_jobs(world: World, clients: Sequence[asyncio.Task[None]]) -> None:
    """Waits until the clients have seen the ends of their jobs, and notes the clients' errors."""
    await _settle(clients)
    # Only jobs that live until they expire may need this last leap.
    if not all(client.done() for client in clients):
        await _leap_and_settle(world, clients)
    # The retry of such a job needs one more.
    if any(
        ALL_KINDS[plan.kind].ends == EXPIRED and not client.done()
        for plan, client in zip(world.plans, clients, strict=True)
    ):
        await _leap_and_settle(world, clients)
    for client in clients:
        if client.done() and not client.cancelled() and (error := client.exception()):
            world.loop.defects.append(f"client: {error!r}")


async def _leap_and_settle(world: World, clients: Sequence[asyncio.Task[None]]) -> None:
    world.leap(DAY_S)
    await world.leap_ended.wait()
    await _settle(clients)


async def _settle(clients: Sequence[asyncio.Task[None]]) -> None:
    """Waits until every client has seen the end of its job, or no client has for a while."""
    left: set[asyncio.Task[None]] = set(clients)
    while left:
        seen, left = await asyncio.wait(left, timeout=SETTLE_S)
        if not seen:
            return
