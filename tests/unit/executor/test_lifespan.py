"""The lifespan of an executor: when it is entered and left, its bounds, and its value."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fabric_jobs.executor import Executor, Job, LifespanError, lifespan
from fabric_jobs.executor.lifespan import open_resources
from fabric_jobs.executor.testing import run_job


class Pool:
    """What the lifespans of these tests open."""

    def __init__(self) -> None:
        self.is_open = True
        self.used = 0


pools: list[Pool] = []


@asynccontextmanager
async def open_pool() -> AsyncIterator[Pool]:
    """Opens a pool, and closes it."""
    pool = Pool()
    pools.append(pool)
    yield pool
    await asyncio.sleep(0)
    pool.is_open = False


executor = Executor(lifespan=open_pool)


@executor.job("Item", "async")
async def use_pool(job: Job[Any, Pool]) -> None:
    """A handler in the event loop."""
    assert job.resources.is_open
    job.resources.used += 1


@executor.job("Item", "def")
def use_pool_in_thread(job: Job[Any, Pool]) -> None:
    """A handler in a thread."""
    assert job.resources.is_open
    job.resources.used += 1


@pytest.mark.parametrize("job_type", ["async", "def"])
def test_run_job_of_an_executor_with_a_lifespan_runs_it_around_the_job(job_type: str) -> None:
    """The handler gets the open value, which is closed when the job has ended."""
    pools.clear()

    outcome = run_job(executor, "Item", job_type)

    assert outcome.status == "Completed"
    (pool,) = pools
    assert (pool.used, pool.is_open) == (1, False)


def test_run_job_with_resources_replaces_the_lifespan() -> None:
    """The handler gets the test's own value, and the lifespan is not run."""
    pools.clear()
    own = Pool()

    assert run_job(executor, "Item", "def", resources=own).status == "Completed"

    assert (own.used, own.is_open, pools) == (1, True, [])


def test_run_job_without_a_lifespan_has_no_resources() -> None:
    """The value is `None`."""
    plain = Executor()
    seen: list[object] = []

    @plain.job("Item", "job")
    def handler(job: Job[Any]) -> None:
        seen.append(job.resources)

    assert run_job(plain, "Item", "job").status == "Completed"
    assert seen == [None]


@asynccontextmanager
async def fail_at_start() -> AsyncIterator[Pool]:
    """A lifespan whose database is away."""
    raise ConnectionError("db-1 is away:\nno route")
    yield Pool()


def test_run_job_with_a_lifespan_that_fails_to_start_raises_lifespan_error() -> None:
    """The error is one line, with the place in the author's code."""
    broken = Executor(lifespan=fail_at_start)
    broken.job("Item", "job")(use_pool)

    with pytest.raises(LifespanError) as raised:
        run_job(broken, "Item", "job")

    text = str(raised.value)
    assert text.startswith(
        "The lifespan failed at start: ConnectionError: db-1 is away: no route ("
    )
    assert __file__ in text
    assert "\n" not in text


async def test_lifespan_that_never_starts_ends_after_its_timeout() -> None:
    """The error names the bound, and the lifespan is cancelled."""
    cancelled: list[bool] = []

    @asynccontextmanager
    async def wait_for_ever() -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        yield

    with pytest.raises(LifespanError, match=r"did not start within 0\.05 seconds"):
        async with open_resources(wait_for_ever, 0.05):
            raise AssertionError
    assert cancelled == [True]


async def test_lifespan_that_never_stops_is_abandoned_after_its_timeout(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that ignores its cancel. The warning names the bound."""
    monkeypatch.setattr(lifespan, "STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(lifespan, "CANCEL_TIMEOUT_S", 0.05)
    may_end = asyncio.Event()

    @asynccontextmanager
    async def stop_never() -> AsyncIterator[int]:
        yield 1
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    began = time.monotonic()
    async with open_resources(stop_never, 1) as value:
        assert value == 1

    assert time.monotonic() - began < 5
    assert "did not stop within 0.05 seconds" in caplog.text
    may_end.set()


async def test_lifespan_that_fails_at_stop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It raises nothing: every run has ended by then. The log has the traceback."""

    @asynccontextmanager
    async def fail_at_stop() -> AsyncIterator[int]:
        yield 1
        raise OSError("disk is full")

    async with open_resources(fail_at_stop, 1):
        pass

    assert "The lifespan failed at stop" in caplog.text
    assert "OSError: disk is full" in caplog.text


async def test_lifespan_that_ends_by_itself_is_reported_at_once() -> None:
    """The error names what failed, and the end of the block does not report it again."""
    may_fail = asyncio.Event()
    errors: asyncio.Queue[LifespanError] = asyncio.Queue()

    async def refresh() -> None:
        await may_fail.wait()
        raise OSError("db-1 is away")

    @asynccontextmanager
    async def open_with_task() -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(refresh())
            yield 1

    async with open_resources(open_with_task, 1, errors.put_nowait):
        may_fail.set()
        error = await errors.get()

    assert str(error).startswith("The lifespan ended by itself: OSError: db-1 is away (")
    assert isinstance(error.__cause__, ExceptionGroup)
    assert repr(error.__cause__.exceptions) == "(OSError('db-1 is away'),)"
    assert errors.empty()


async def test_error_of_a_lifespan_that_returns_too_early_has_no_full_stop() -> None:
    """Log lines go on after it, with a full stop of their own."""
    errors: asyncio.Queue[LifespanError] = asyncio.Queue()

    @asynccontextmanager
    async def end_early() -> AsyncIterator[None]:
        with suppress(asyncio.CancelledError):
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
            yield

    async with open_resources(end_early, 1, errors.put_nowait):
        error = await errors.get()

    assert str(error) == "The lifespan ended by itself"


async def test_lifespan_is_left_in_the_task_that_entered_it_when_its_user_is_cancelled() -> None:
    """Libraries such as anyio require one task for both, and a cancel must not skip the stop."""
    tasks: list[asyncio.Task[Any] | None] = []

    @asynccontextmanager
    async def record_tasks() -> AsyncIterator[None]:
        tasks.append(asyncio.current_task())
        yield
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    entered = asyncio.Event()

    async def use() -> None:
        async with open_resources(record_tasks, 1):
            entered.set()
            await asyncio.Event().wait()

    user = asyncio.create_task(use())
    await entered.wait()
    user.cancel()
    with pytest.raises(asyncio.CancelledError):
        await user

    assert len(tasks) == 2
    assert tasks[0] is tasks[1]
