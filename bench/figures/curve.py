"""Latency by load, for the plot in docs/performance.md."""

from typing import NamedTuple

import msgspec

from bench import load
from bench.figures.latency import Seen
from bench.ground import Ground, instances
from bench.life import Plan
from bench.report import percentile
from bench.work import work

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


class Point(NamedTuple):
    """One load, and the latency of starts under this load."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def load_latency(ground: Ground) -> list[Point]:
    """Measure POST to the handler's first line for loads up to the maximum."""
    topic, seen, points = ground.topic(), Seen(ground), []
    async with ground.facade(topic) as facade, ground.executor(topic, facade):
        url = instances(facade, "timed")
        plan = Plan(url, ground.headers, load.fresh(), ground.effort.lives)
        for _ in range(2):  # the first round warms up
            plan.salt = load.fresh()
            most = await work("life", msgspec.json.encode(plan).decode())
            await seen.count(plan.lives)
        for share in SHARES:
            pause_ms = load.CONNECTIONS / (share * most["lives"] / most["seconds"]) * 1000
            loaded = await load.creates(
                url, ground.headers, ground.effort.seconds, pause_ms=pause_ms
            )
            pairs = await seen.count(loaded.answers)
            took = [(pair.then - pair.sent) / 1e6 for pair in pairs]
            points.append(Point(loaded.rate, percentile(took, 50), percentile(took, 99)))
    return points
