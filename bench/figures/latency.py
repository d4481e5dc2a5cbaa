"""The time from a create and from a cancel to the handler, in hops through the log."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import NamedTuple

import msgspec

from bench import load
from bench.ground import Ground, instances
from bench.handlers import PAIR
from bench.life import Connection, Plan
from bench.load import WrongAnswerError
from bench.raw import IDLE_PAUSE_MS
from bench.report import Series, percentile
from bench.work import work
from tests.support.programs import Program

WARM_UP_S = 2
PATIENCE_S = 60
#: Starts or cancels per round, one after the other.
SINGLE = 50


class Pair(NamedTuple):
    """A pair of times that a handler wrote, in nanoseconds of the monotonic clock."""

    sent: int
    then: int


class Seen:
    """Reads the pairs of times that the handlers write."""

    def __init__(self, ground: Ground) -> None:
        self._path = ground.seen
        self._read = 0

    async def until(self, enough: Callable[[list[Pair]], bool]) -> list[Pair]:
        """The pairs since the last call, once there are enough. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough(pairs := self._pairs()):
                await asyncio.sleep(0.01)
        self._read += len(pairs) * PAIR.size
        return pairs

    async def count(self, expected: int) -> list[Pair]:
        """Wait for a number of pairs."""
        return await self.until(lambda pairs: len(pairs) >= expected)

    def _pairs(self) -> list[Pair]:
        data = self._path.read_bytes()[self._read :] if self._path.exists() else b""
        whole = len(data) - len(data) % PAIR.size
        return [Pair(*pair) for pair in PAIR.iter_unpack(data[:whole])]


@asynccontextmanager
async def _running(ground: Ground) -> AsyncIterator[tuple[Program, str]]:
    """A facade, an executor, and a topic with as many partitions for the hops."""
    topic, hops = ground.topic(), await ground.make_topic()
    async with ground.facade(topic) as facade, ground.executor(topic, facade):
        yield facade, hops


async def accept_p50_hops(ground: Ground) -> dict[str, Series]:
    """Measure POST to the 202 on an idle service, one create at a time: the median in hops."""
    series, hops_topic = Series(), await ground.make_topic()
    async with ground.facade(ground.topic()) as facade:
        url = instances(facade, "nothing")
        await load.creates(url, ground.headers, WARM_UP_S)
        for _ in range(ground.effort.rounds):
            hops = await work("raw", "hop", ground.kafka.bootstrap_servers, hops_topic)
            seconds = SINGLE * 2 * IDLE_PAUSE_MS / 1000
            loaded = await load.creates(
                url, ground.headers, seconds, connections=1, pause_ms=IDLE_PAUSE_MS
            )
            hop_ms = hops["hop_ms"]
            series.add(loaded.p50_ms / hop_ms, **hops, p50_ms=loaded.p50_ms, p99_ms=loaded.p99_ms)
    return {"accept_p50_hops": series}


async def start_latency_hops(ground: Ground) -> dict[str, Series]:
    """Measure POST to the handler's first line on an idle service: the median in hops."""
    return {"start_latency_hops": await _hops(ground, _starts)}


async def cancel_latency_hops(ground: Ground) -> dict[str, Series]:
    """Measure a cancel's POST to `CancelledError` in the handler: the median in hops."""
    return {"cancel_latency_hops": await _hops(ground, _cancels)}


async def _hops(
    ground: Ground, took_ms: Callable[[Ground, Program, Seen], Awaitable[list[float]]]
) -> Series:
    series, seen = Series(), Seen(ground)
    async with _running(ground) as (facade, topic):
        await took_ms(ground, facade, seen)
        for _ in range(ground.effort.rounds):
            hops = await work("raw", "hop", ground.kafka.bootstrap_servers, topic)
            latencies = await took_ms(ground, facade, seen)
            p50_ms = median(latencies)
            series.add(
                p50_ms / hops["hop_ms"], **hops, p50_ms=p50_ms, p99_ms=percentile(latencies, 99)
            )
    return series


async def _starts(ground: Ground, facade: Program, seen: Seen) -> list[float]:
    url = instances(facade, "timed")
    seconds = SINGLE * 2 * IDLE_PAUSE_MS / 1000
    loaded = await load.creates(url, ground.headers, seconds, connections=1, pause_ms=IDLE_PAUSE_MS)
    return [_ms(*pair) for pair in await seen.count(loaded.answers)]


async def _cancels(ground: Ground, facade: Program, seen: Seen) -> list[float]:
    plan = Plan(instances(facade, "waiting"), ground.headers, load.fresh(), 0)
    connection = await Connection(plan).open()
    latencies = []
    try:
        for count in range(SINGLE):
            job_id = f"{plan.salt}-0000-4000-8000-{count:012x}"
            body = {"invokeType": "Manual", "creationPayload": {"sent": time.monotonic_ns()}}
            status, answer = await connection.ask("POST", job_id, msgspec.json.encode(body))
            if status != 202:
                raise WrongAnswerError(f"a create was answered with {status}: {answer!r}")
            await seen.count(1)
            sent = time.monotonic_ns()
            status, answer = await connection.ask("POST", f"{job_id}/cancel")
            if status not in (200, 202):
                raise WrongAnswerError(f"a cancel was answered with {status}: {answer!r}")
            (cancelled,) = await seen.count(1)
            latencies.append(_ms(sent, cancelled.then))
    finally:
        connection.close()
    return latencies


async def start_latency_tail(ground: Ground) -> dict[str, Series]:
    """Measure POST to the handler's first line at half of the maximal load: the 99th percentile."""
    series, seen = Series(), Seen(ground)
    effort = ground.effort
    async with _running(ground) as (facade, _):
        url = instances(facade, "timed")
        await load.creates(url, ground.headers, WARM_UP_S)
        plan = Plan(url, ground.headers, load.fresh(), effort.lives)
        most = await work("life", msgspec.json.encode(plan).decode())
        half = most["lives"] / most["seconds"] / 2
        await asyncio.sleep(WARM_UP_S)
        seen = Seen(ground)
        await seen.until(bool)
        for _ in range(effort.rounds):
            loaded = await load.creates(
                url,
                ground.headers,
                effort.seconds,
                pause_ms=load.CONNECTIONS / half * 1000,
            )
            latencies = [_ms(*pair) for pair in await seen.count(loaded.answers)]
            p50_ms, p99_ms = percentile(latencies, 50), percentile(latencies, 99)
            series.add(
                p99_ms / p50_ms,
                p50_ms=p50_ms,
                p99_ms=p99_ms,
                load_per_s=loaded.rate,
                half_of_most_per_s=half,
            )
    return {"start_latency_tail": series}


def _ms(begun: int, ended: int) -> float:
    return (ended - begun) / 1e6
