"""Calls of `leftover_handlers` in a pool of processes, without a run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fabric_jobs.executor.access_tokens import RequestToken
from fabric_jobs.executor.jobs import _refuse_token
from fabric_jobs.executor.processes.call import ProcessCall
from fabric_jobs.executor.processes.pool import ProcessPool
from tests.support.jobs import make_job
from tests.support.leftover_handlers import ITEM_TYPE, executor
from tests.support.processes import START_S


@asynccontextmanager
async def open_pool() -> AsyncIterator[ProcessPool]:
    """A pool of processes, closed at the end."""
    pool = ProcessPool()
    async with asyncio.timeout(2 * START_S):
        try:
            yield pool
        finally:
            await pool.close()


async def call_in_process(
    pool: ProcessPool, job_type: str, tenant: str = "A", request: RequestToken = _refuse_token
) -> None:
    """Calls a handler in the pool, with a job of the tenant that requests its tokens so."""
    job = replace(make_job(payload=b"null"), tenant_id=tenant, _request_token=request)
    await ProcessCall(pool).run(executor.handlers[ITEM_TYPE, job_type], job)
