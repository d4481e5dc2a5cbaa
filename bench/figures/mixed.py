"""Quick jobs beside slow jobs: how late the quick jobs start, and how long slots are idle.

The slow jobs have a few slots of their own, and many of them wait. The other slots are free for the
quick jobs.
"""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from typing import NamedTuple

import msgspec

from bench import load
from bench.ground import Ground, instances
from bench.handlers import MIXED_RUN, QUICK, SLOW, SLOW_SLOTS
from bench.life import Connection, Plan
from bench.load import WrongAnswerError
from bench.report import Series, percentile

SLOTS = 10
#: Slow jobs of a round for each executor: 3 run, and 27 wait.
SLOW_JOBS = 30
#: Quick jobs of a round, and of the idle service before it.
QUICK_JOBS = 150
IDLE_JOBS = 50
QUICK_INTERVAL_S = 0.1
TIMEOUT_S = 120
#: A slot is idle if it stays free for at least this long while a job waits that it could run.
IDLE_NS = 200_000_000


class Request(NamedTuple):
    """When a job was requested, in nanoseconds of the monotonic clock."""

    sent: int
    #: When the create was answered. The job waits from then on.
    accepted: int


class Run(NamedTuple):
    """One run, as its handler saw it, in nanoseconds of the monotonic clock."""

    #: The number of the job.
    number: int
    job_type: str
    #: The process of the executor.
    executor: int
    begun: int
    ended: int


class Slots(NamedTuple):
    """How many runs an executor holds at a time."""

    all: int
    of_slow: int


async def mixed(ground: Ground, executors: int) -> dict[str, Series]:
    """`mixed_start_tail` and `idle_slot_share`, with this number of executors."""
    tail, idle = Series(), Series()
    topic = ground.topic()
    async with AsyncExitStack() as stack:
        facade = await stack.enter_async_context(ground.facade(topic))
        pids = [
            (
                await stack.enter_async_context(ground.executor(topic, facade, slots=SLOTS))
            ).process.pid
            for _ in range(executors)
        ]
        requests: list[Request] = []

        async def create(job_type: str, count: int, interval_s: float) -> None:
            url = instances(facade, job_type)
            requests.extend(await _create(ground, url, len(requests), count, interval_s))

        for _ in range(ground.effort.rounds):
            first = len(requests)
            await create(QUICK, IDLE_JOBS, QUICK_INTERVAL_S)
            alone_ms = median(_start_ms(requests, await _runs(ground, first, len(requests))))
            first = len(requests)
            await create(SLOW, SLOW_JOBS * executors, 0)
            await create(QUICK, QUICK_JOBS, QUICK_INTERVAL_S)
            runs = await _runs(ground, first, len(requests))
            quick_ms = list(_start_ms(requests, [run for run in runs if run.job_type == QUICK]))
            p99_ms = percentile(quick_ms, 99)
            tail.add(p99_ms / alone_ms, alone_ms=alone_ms, p50_ms=median(quick_ms), p99_ms=p99_ms)
            idle_s = idle_slot_ns(requests, runs, pids, Slots(SLOTS, SLOW_SLOTS)) / 1e9
            seconds = (max(run.begun for run in runs) - requests[first].accepted) / 1e9
            idle.add(idle_s / seconds, idle_s=idle_s, seconds=seconds)
    suffix = "" if executors == 1 else f"_{executors}_executors"
    return {f"mixed_start_tail{suffix}": tail, f"idle_slot_share{suffix}": idle}


one_executor = partial(mixed, executors=1)
two_executors = partial(mixed, executors=2)


def idle_slot_ns(
    requests: list[Request], runs: list[Run], executors: Collection[int], slots: Slots
) -> int:
    """Returns for how long a slot was idle while a job waited that the slot could run.

    Each run's number is the index of its request. Only times of at least `IDLE_NS` count.
    """
    rooms = {
        (executor, job_type): list(
            _room([run for run in runs if run.executor == executor], job_type, slots)
        )
        for executor in executors
        for job_type in (QUICK, SLOW)
    }
    idle = []
    for run in runs:
        for executor in executors:
            for begin, end in rooms[executor, run.job_type]:
                begin, end = max(begin, requests[run.number].accepted), min(end, run.begun)
                if end - begin >= IDLE_NS:
                    idle.append((begin, end))
    total = covered = 0
    for begin, end in sorted(idle):
        total += max(0, end - max(begin, covered))
        covered = max(covered, end)
    return total


def _room(runs: list[Run], job_type: str, slots: Slots) -> Iterator[tuple[int, int]]:
    """Yields the times in which an executor with these runs could start a job of the type."""
    changes = sorted(
        change for run in runs for change in ((run.begun, 1, run), (run.ended, -1, run))
    )
    held = held_slow = since = 0
    has_room = True
    for at, change, run in changes:
        held += change
        held_slow += change * (run.job_type == SLOW)
        had_room = has_room
        has_room = held < slots.all and (job_type != SLOW or held_slow < slots.of_slow)
        if had_room and not has_room:
            yield since, at
        elif has_room and not had_room:
            since = at
    if has_room:
        yield since, time.monotonic_ns()


async def _create(
    ground: Ground, url: str, first: int, count: int, interval_s: float
) -> list[Request]:
    """Creates jobs of these numbers, one after the other. Raises `WrongAnswerError`."""
    plan = Plan(url, ground.headers, load.fresh(), count)
    connection = await Connection(plan).open()
    requests = []
    try:
        for number in range(first, first + count):
            body = {"invokeType": "Manual", "creationPayload": {"number": number}}
            job_id, sent = f"{plan.salt}-0000-4000-8000-{number:012x}", time.monotonic_ns()
            status, answer = await connection.ask("POST", job_id, msgspec.json.encode(body))
            if status != 202:
                raise WrongAnswerError(f"a create was answered with {status}: {answer!r}")
            requests.append(Request(sent, time.monotonic_ns()))
            await asyncio.sleep(interval_s)
    finally:
        connection.close()
    return requests


async def _runs(ground: Ground, first: int, end: int) -> list[Run]:
    """Waits until the jobs of these numbers have ended, and returns their runs."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            data = ground.seen.read_bytes() if ground.seen.exists() else b""
            whole = len(data) - len(data) % MIXED_RUN.size
            runs = [
                Run(number, SLOW if is_slow else QUICK, executor, begun, ended)
                for number, is_slow, executor, begun, ended in MIXED_RUN.iter_unpack(data[:whole])
                if first <= number < end
            ]
            if len(runs) >= end - first:
                return runs
            await asyncio.sleep(0.05)


def _start_ms(requests: list[Request], runs: list[Run]) -> Iterator[float]:
    """Yields for each run the milliseconds from sending its request to the handler's first line."""
    return ((run.begun - requests[run.number].sent) / 1e6 for run in runs)
