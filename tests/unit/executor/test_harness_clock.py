"""The clock of the testing kit: when it skips time, and when real time passes."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from fabric_jobs.executor import Executor, Job, Retry
from fabric_jobs.executor.testing import Outcome, run_job

Work = Callable[[], None]


class Connection:
    """Calls functions in a thread of its own, as a connection of `aiosqlite` does."""

    def __init__(self, *, daemon: bool) -> None:
        self._calls: SimpleQueue[tuple[asyncio.Future[None], Work] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=daemon)
        self._thread.start()

    def _work(self) -> None:
        while item := self._calls.get():
            future, call = item
            call()
            future.get_loop().call_soon_threadsafe(future.set_result, None)

    async def run(self, call: Work) -> None:
        """Calls the function in the thread, and waits for it."""
        future = asyncio.get_running_loop().create_future()
        self._calls.put((future, call))
        await future

    def close(self) -> None:
        """Ends the thread."""
        self._calls.put(None)


@contextmanager
def open_connection(*, daemon: bool = False) -> Iterator[Connection]:
    """Yields a connection whose thread ends with the block."""
    connection = Connection(daemon=daemon)
    try:
        yield connection
    finally:
        connection.close()


def work_for_a_while() -> None:
    """Takes a fifth of a second, as a query may."""
    time.sleep(0.2)


def run(function: Callable[[Job[Any, Any]], Any], executor: Executor[Any] | None = None) -> Outcome:
    """Runs a job of this handler."""
    executor = executor or Executor()
    executor.job("Item", "job", run_timeout_s=600)(function)
    return run_job(executor, "Item", "job")


@pytest.mark.parametrize("daemon", [False, True])
def test_run_job_whose_handler_waits_for_a_thread_of_a_library_lets_real_time_pass(
    daemon: bool,
) -> None:
    """Otherwise the clock would jump to the timeout. After the thread the time is skipped again."""

    async def query(job: Job[Any]) -> None:
        with open_connection(daemon=daemon) as connection:
            async with asyncio.timeout(5):
                await connection.run(work_for_a_while)
        await asyncio.sleep(300)

    began = time.monotonic()
    outcome = run(query)

    assert outcome.status == "Completed"
    assert 300 <= outcome.took_s < 305
    assert time.monotonic() - began < 5


@pytest.mark.timeout(20)
def test_run_job_in_a_test_that_stops_the_clock_skips_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """freezegun replaces `time.monotonic` by the frozen time since 1970."""

    async def sleep(job: Job[Any]) -> None:
        await asyncio.sleep(300)

    monkeypatch.setattr(time, "monotonic", lambda: 1_800_000_000.0)
    outcome = run(sleep)

    assert outcome.status == "Completed"
    assert outcome.took_s == pytest.approx(300, abs=1)


def test_run_job_whose_lifespan_waits_for_a_thread_of_a_library_opens_it() -> None:
    """The thread lives as long as the job."""

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[Connection]:
        with open_connection() as connection:
            await connection.run(work_for_a_while)
            yield connection

    async def query(job: Job[Any, Connection]) -> None:
        await job.resources.run(work_for_a_while)

    outcome = run(query, Executor(lifespan=open_pool))

    assert outcome.status == "Completed"
    assert outcome.took_s < 5


def test_run_job_whose_handler_uses_a_pool_of_threads_skips_the_time_when_they_are_idle() -> None:
    """The idle threads of the pool live on, and so do those of `asyncio.to_thread`."""

    async def use_pools(job: Job[Any]) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor() as pool:
            for _ in range(3):
                await loop.run_in_executor(pool, work_for_a_while)
                await asyncio.to_thread(work_for_a_while)
                await asyncio.sleep(100)

    began = time.monotonic()
    outcome = run(use_pools)

    assert outcome.status == "Completed"
    assert outcome.took_s >= 300
    assert time.monotonic() - began < 5


def test_run_job_with_a_thread_of_the_lifespan_skips_the_time_between_attempts() -> None:
    """No handler runs then, and the thread lives as long as the job."""

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[Connection]:
        with open_connection() as connection:
            yield connection

    executor = Executor(lifespan=open_pool)

    @executor.job("Item", "job", retry=Retry(max_attempts=3, initial_s=60))
    async def fail(job: Job[Any, Connection]) -> None:
        await job.resources.run(lambda: None)
        raise ValueError("no rows")

    began = time.monotonic()
    outcome = run_job(executor, "Item", "job")

    assert (outcome.attempts, outcome.exhausted) == (3, True)
    assert outcome.took_s >= sum(outcome.waits_s)
    assert time.monotonic() - began < 5
