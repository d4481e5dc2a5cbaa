"""The memory that a handler leaves in its process, and a job with a memory limit after it."""

import logging
import sys

import pytest

from tests.support.process_calls import call_in_process, open_pool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the memory limit")


async def test_job_with_a_memory_limit_gets_a_new_process_after_a_job_that_left_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the old process the job would fail. The new process stays warm for the next such job."""
    caplog.set_level(logging.INFO)
    async with open_pool() as pool:
        for job_type in ("limited", "keeping", "limited", "limited"):
            await call_in_process(pool, job_type)

    before, kept, *after = [line.split() for line in caplog.messages]
    assert before[-1] == kept[-1]
    assert after[0] == after[1] != before


async def test_job_without_a_memory_limit_finds_what_earlier_jobs_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cache serves the jobs of its process, however large it is."""
    caplog.set_level(logging.INFO)
    async with open_pool() as pool:
        for _ in range(3):
            await call_in_process(pool, "keeping")

    assert [line.split()[1] for line in caplog.messages] == ["1", "2", "3"]


async def test_pool_keeps_one_process_when_a_new_one_replaces_a_full_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The replaced process has ended, so that the memory of the machine is free for the new one."""
    caplog.set_level(logging.INFO)
    async with open_pool() as pool:
        await call_in_process(pool, "keeping")
        full, is_warm = await pool.acquire()
        await pool.release(full, is_reusable=True)
        await call_in_process(pool, "limited")

        assert is_warm
        assert not full.is_alive
