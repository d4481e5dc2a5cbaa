"""Handlers in processes: how they use two cores, and what it costs to call one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from bench.ground import Ground
from bench.handlers import ITEM_TYPE, computing
from bench.report import Series
from fabric_jobs.executor import Job
from fabric_jobs.executor.processes.call import ProcessCall
from fabric_jobs.executor.processes.pool import ProcessPool

#: Loops of the CPU-bound handler: about a second on one core.
LOOPS = 30_000_000
#: Calls per round, one after the other, of a handler that does nothing.
CALLS = 100
PARALLEL = 4


async def processes(ground: Ground) -> dict[str, Series]:
    """Four CPU-bound runs at once against one, and an empty call against one in a thread."""
    return await measure(ground.effort.rounds)


async def measure(rounds: int) -> dict[str, Series]:
    """Measure this number of rounds."""
    pool = ProcessPool()
    speedup, start = Series(), Series()
    await asyncio.gather(*(_call(pool, "compute", b"1") for _ in range(PARALLEL)))  # warm up
    for _ in range(rounds):
        one_s = await _time_call(lambda: _call(pool, "compute", b"%d" % LOOPS))
        four_s = await _time_call(
            lambda: asyncio.gather(
                *(_call(pool, "compute", b"%d" % LOOPS) for _ in range(PARALLEL))
            )
        )
        speedup.add(four_s / one_s, one_s=one_s, four_s=four_s)
        process_ms = 1000 * median(
            [await _time_call(lambda: _call(pool, "compute-nothing", b"0")) for _ in range(CALLS)]
        )
        thread_ms = 1000 * median(
            [await _time_call(lambda: _call(pool, "nothing-in-thread", b"0")) for _ in range(CALLS)]
        )
        start.add(process_ms - thread_ms, process_ms=process_ms, thread_ms=thread_ms)
    await pool.close()
    return {"process_speedup": speedup, "process_start_ms": start}


async def _time_call(call: Callable[[], Awaitable[object]]) -> float:
    """The seconds that the call takes."""
    begin = time.perf_counter()
    await call()
    return time.perf_counter() - begin


async def _call(pool: ProcessPool, job_type: str, payload: bytes) -> None:
    handler = computing.handlers[ITEM_TYPE, job_type]
    job: Job[Any] = Job(
        payload=payload,
        job_id="bench",
        attempt=1,
        item_type=ITEM_TYPE,
        job_type=job_type,
        workspace_id="",
        item_id="",
        tenant_id="",
    )
    if handler.run_in == "process":
        await ProcessCall(pool).run(handler, job)
    else:
        await handler.call(job)
