"""What a handler had in memory is free once its run has ended, without the garbage collector.

The collector may run much later, and a table of some GB must not stay until then.
"""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fabric_jobs.executor import Job, JobFailed
from tests.support.executor_runs import connect_runs, dispatched_attempt, run_to_end
from tests.support.fake_facade import FakeFacade


class Table:
    """A large value. A test checks whether the value is still in memory."""


_references: list[weakref.ref[Table]] = []


def read_table() -> Table:
    """Returns a value, and notes it."""
    table = Table()
    _references.append(weakref.ref(table))
    return table


def fail(job: Job[Any]) -> None:
    table = read_table()
    raise ValueError(f"no rows in {type(table)}")


async def fail_async(job: Job[Any]) -> None:
    table = read_table()
    await asyncio.sleep(0)
    raise ValueError(f"no rows in {type(table)}")


async def fail_with_a_cause(job: Job[Any]) -> None:
    try:
        fail(job)
    except ValueError as error:
        raise JobFailed("no rows") from error


async def fail_in_a_group(job: Job[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail_async(job))


async def cancel_itself(job: Job[Any]) -> None:
    table = read_table()
    raise asyncio.CancelledError(f"no rows in {type(table)}")


@pytest.mark.parametrize(
    "handler", [fail, fail_async, fail_with_a_cause, fail_in_a_group, cancel_itself]
)
async def test_variables_of_a_failed_handler_are_freed_when_its_run_has_ended(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture, handler: Callable[[Job[Any]], object]
) -> None:
    """The traceback holds the frames, and the frames the variables."""
    # The records of a test's log hold exceptions.
    caplog.set_level("CRITICAL", logger="fabric_jobs.executor")
    _references.clear()
    gc.disable()
    try:
        async with connect_runs(facade, handler) as runs:
            await run_to_end(runs, dispatched_attempt("a"))
            await facade.wait_until(lambda: facade.outcomes)
            (table,) = _references
            assert table() is None
    finally:
        gc.enable()

    assert facade.outcomes == ["failed"]
