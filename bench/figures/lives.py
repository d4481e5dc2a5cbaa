"""Whole lives of jobs per second and their CPU: ours and a peer's in turn."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from bench import load
from bench.ground import Ground, instances
from bench.life import Plan
from bench.peers.peer import Peer, Side
from bench.report import Series
from bench.usage import cpu_s
from bench.work import work
from tests.support.sealing import ring_key

#: Rounds to warm up: a broker uses 0.36 ms of CPU per life in the first round, 0.15 in the fourth,
#: and 0.12 from here on.
WARM_UP_ROUNDS = 6
WARM_UP_LIVES = 10_000


@asynccontextmanager
async def ours(
    ground: Ground, facades: int = 1, executors: int = 1, **settings: str
) -> AsyncIterator[Side]:
    """The product, ready; clients call the first facade. `settings` are those of the facades."""
    topic = ground.topic()
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(ground.facade(topic, None, **settings))
            for _ in range(facades)
        ]
        # An executor uses one facade at a time, so each executor begins with another facade.
        runs = [
            await stack.enter_async_context(
                ground.executor(topic, *replicas[number:], *replicas[:number])
            )
            for number in range(executors)
        ]
        pids = [one.process.pid for one in (*replicas, *runs)]
        yield Side(instances(replicas[0], "nothing"), pids)


async def lived(ground: Ground, side: Side, lives: int) -> tuple[float, float]:
    """Drive a number of lives: lives per second, and CPU seconds per life."""
    plan = Plan(side.url, ground.headers, load.fresh(), lives)
    before = cpu_s(side.pids)
    seen = await work("life", msgspec.json.encode(plan).decode())
    return seen["lives"] / seen["seconds"], (cpu_s(side.pids) - before) / lives


async def warm_up(ground: Ground) -> None:
    """Drive lives until the broker's JVM has compiled the code that they need.

    On two cores the JVM's compilers take most of the broker's CPU in the first minute. After an
    hour, a broker has nothing left to compile.
    """
    async with ours(ground) as us:
        for _ in range(WARM_UP_ROUNDS):
            await lived(ground, us, WARM_UP_LIVES)


async def _rounds(
    ground: Ground, sides: tuple[Side, Side], lives: int
) -> AsyncIterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Warm up both sides, then yield for each round what `lived` returns for each side."""
    for side in sides:
        await lived(ground, side, lives // 4)
    for side in sides:
        if side.settle:
            await side.settle()
    one, other = sides
    for _ in range(ground.effort.rounds):
        yield await lived(ground, one, lives), await lived(ground, other, lives)


async def versus(ground: Ground, peer: Peer) -> dict[str, Series]:
    """Measure `lives_vs_PEER` and `cpu_vs_PEER`."""
    lives, cpu = Series(), Series()
    many = min(ground.effort.lives, peer.most_lives)
    async with ours(ground) as us, peer.running(ground.folder) as them:
        async for (our_rate, our_cpu_s), (their_rate, their_cpu_s) in _rounds(
            ground, (us, them), many
        ):
            lives.add(
                our_rate / their_rate, **{"ours_per_s": our_rate, f"{peer.name}_per_s": their_rate}
            )
            cpu.add(
                our_cpu_s / their_cpu_s,
                **{"ours_ms": our_cpu_s * 1e3, f"{peer.name}_ms": their_cpu_s * 1e3},
            )
    return {f"lives_vs_{peer.name}": lives, f"cpu_vs_{peer.name}": cpu}


async def sealed_lives(ground: Ground) -> dict[str, Series]:
    """Measure lives per second with a sealing key, compared with none."""
    series, many = Series(), ground.effort.lives
    ring = ring_key("bench")
    async with ours(ground) as clear, ours(ground, FABRIC_JOBS_SEALING_KEYS=ring) as sealed:
        async for (clear_rate, clear_cpu_s), (sealed_rate, sealed_cpu_s) in _rounds(
            ground, (clear, sealed), many
        ):
            series.add(
                sealed_rate / clear_rate,
                clear_per_s=clear_rate,
                sealed_per_s=sealed_rate,
                clear_ms=clear_cpu_s * 1e3,
                sealed_ms=sealed_cpu_s * 1e3,
            )
    return {"sealed_lives": series}


async def scale_out_cost(ground: Ground) -> dict[str, Series]:
    """Measure CPU per life of two facades and two executors, compared with one of each."""
    series, many = Series(), ground.effort.lives
    async with ours(ground) as one, ours(ground, facades=2, executors=2) as two:
        async for (one_rate, one_cpu_s), (two_rate, two_cpu_s) in _rounds(ground, (one, two), many):
            series.add(
                two_cpu_s / one_cpu_s,
                one_ms=one_cpu_s * 1e3,
                two_ms=two_cpu_s * 1e3,
                one_per_s=one_rate,
                two_per_s=two_rate,
            )
    return {"scale_out_cost": series}
