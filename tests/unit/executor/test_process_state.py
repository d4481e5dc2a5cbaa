"""What a handler in a process shares with others: checkpoints, and the resources of its process."""

import json
import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.executor import Executor, HandlerDefinitionError, LifespanError
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.testing import run_job
from tests.support.executor_runs import connect_runs, dispatched_attempt, put, run_to_end
from tests.support.fake_facade import FakeFacade
from tests.support.process_handlers import (
    ITEM_TYPE,
    Opened,
    executor,
    open_fragile,
    open_notes,
    with_fragile,
    with_notes,
)
from tests.support.processes import START_S


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which the lifespan writes."""
    path = tmp_path / "notes"
    monkeypatch.setenv("TEST_NOTES", str(path))
    return path


def read_notes(path: Path) -> list[list[str]]:
    """Returns the lines of the notes as process id and text."""
    return [line.split() for line in path.read_text().splitlines()]


async def run_attempt(facade: FakeFacade, job_type: str, **changes: Any) -> None:
    """Runs one attempt of a handler of `process_handlers` until its final report is answered."""
    handler = executor.handlers[ITEM_TYPE, job_type]
    async with connect_runs(facade, handler) as runs:
        await run_to_end(runs, replace(dispatched_attempt("a"), **changes))


async def test_checkpoint_of_a_handler_in_a_process_is_reported_before_its_end(
    facade: FakeFacade,
) -> None:
    """The last one of the attempt is the one that counts."""
    await run_attempt(facade, "counting")

    saved = [one.checkpoint for one in facade.reports if one.HasField("checkpoint")]
    assert saved[-1] == b"41"
    assert facade.outcomes[-1] == "failed"


async def test_checkpoint_of_a_handler_whose_process_is_killed_is_reported(
    facade: FakeFacade,
) -> None:
    """The process had sent the checkpoint before it was killed."""
    await run_attempt(facade, "dying")

    assert facade.outcomes == ["checkpoint", "failed"]
    assert facade.reports[0].checkpoint == b'{"row":7}'
    assert facade.reports[1].failed.error_code == "HandlerProcessDied"


async def test_handler_in_a_process_gets_the_checkpoint_of_an_earlier_attempt(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """The checkpoint comes with the dispatch, and crosses to the process."""
    caplog.set_level(logging.INFO)
    await run_attempt(facade, "dying", checkpoint=b'{"row": 9}')

    assert facade.outcomes == ["completed"]
    assert "resumed at {'row': 9}" in caplog.messages


async def test_too_large_checkpoint_of_a_handler_in_a_process_raises_with_the_size(
    facade: FakeFacade,
) -> None:
    """The error is the same as in a handler without a process."""
    await run_attempt(facade, "too-large")

    assert facade.outcomes == ["failed"]
    assert "20,002" in facade.reports[0].failed.message


def test_run_job_of_a_handler_in_a_process_resumes_at_its_checkpoint() -> None:
    """Each attempt begins where the one before it stopped."""
    outcome = run_job(executor, ITEM_TYPE, "counting")

    assert (outcome.status, outcome.attempts) == ("Completed", 3)
    assert [one.message for one in outcome.progress] == (
        ["from 0"] * 41 + ["from 41"] * 41 + ["from 82"] * 18
    )


@pytest.mark.parametrize("job_type", ["noting", "noting-async"])
async def test_lifespan_is_opened_once_for_each_process(
    facade: FakeFacade, notes: Path, job_type: str
) -> None:
    """Two jobs of one process share the resources. They are closed when the process ends."""
    pool = ProcessPool(open_notes)
    handler = with_notes.handlers[ITEM_TYPE, job_type]
    await pool.check([handler])
    async with connect_runs(facade, handler, slots=1, processes=pool) as runs:
        for job_id in ("a", "b"):
            await run_to_end(runs, dispatched_attempt(job_id))

    assert facade.outcomes == ["completed"] * 2
    found = read_notes(notes)
    assert [text for _, text in found] == ["opened", "used", "used", "closed"]
    assert len({process_id for process_id, _ in found}) == 1


async def test_lifespan_that_ends_by_itself_in_a_process_is_opened_for_the_next_job(
    facade: FakeFacade, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The process stays warm, and the log says what failed."""
    handler = with_fragile.handlers[ITEM_TYPE, "fragile"]
    files = [tmp_path / name for name in ("first", "second")]
    async with connect_runs(facade, handler, slots=1, processes=ProcessPool(open_fragile)) as runs:
        for file in files:
            payload = json.dumps({"pid": str(file)}).encode()
            await run_to_end(runs, dispatched_attempt(file.name, payload))

    assert facade.outcomes == ["completed"] * 2
    first, second = (file.read_text() for file in files)
    assert first == second
    assert "The lifespan ended by itself: ConnectionError: db-1 is away" in caplog.text
    assert "ExceptionGroup: unhandled errors in a TaskGroup" in caplog.text


async def test_attempt_whose_process_can_not_open_the_lifespan_fails_with_its_own_code(
    facade: FakeFacade, notes: Path
) -> None:
    """The handler is not called. The next attempt gets a new process."""
    notes.with_name("broken").touch()
    handler = with_notes.handlers[ITEM_TYPE, "noting"]
    async with connect_runs(facade, handler, processes=ProcessPool(open_notes)) as runs:
        put(runs, dispatched_attempt("a"))
        runs.start_ready()
        await facade.wait_until(lambda: facade.outcomes, START_S)
        notes.with_name("broken").unlink()
        put(runs, dispatched_attempt("b"))
        runs.start_ready()
        await facade.wait_until(lambda: "completed" in facade.outcomes, START_S)

    failed = facade.reports[0].failed
    assert failed.error_code == "LifespanFailed"
    assert "The lifespan failed at start: ConnectionError: db-1 is away" in failed.message


async def test_executor_whose_lifespan_fails_in_a_process_does_not_start(notes: Path) -> None:
    """The error has the reason and the line. Other lifespans of the executor may be open."""
    notes.with_name("broken").touch()
    pool = ProcessPool(open_notes)

    with pytest.raises(LifespanError, match="db-1 is away") as error:
        await pool.check(with_notes.handlers.values())

    assert str(error.value).startswith("In the process of a handler: The lifespan failed at start")
    assert "process_handlers.py, line" in str(error.value)


async def test_lifespan_that_no_process_can_import_is_refused_at_the_start() -> None:
    """The error says why, and what to do."""

    @asynccontextmanager
    async def nested() -> Any:
        yield

    pool = ProcessPool(nested)
    with pytest.raises(HandlerDefinitionError, match="nested can't be opened for handlers"):
        await pool.check(executor.handlers.values())


async def test_lifespan_that_no_process_can_import_is_accepted_without_such_handlers() -> None:
    """No process is started."""

    @asynccontextmanager
    async def nested() -> Any:
        yield

    await ProcessPool(nested).check(Executor().handlers.values())


def test_run_job_of_a_handler_in_a_process_opens_the_lifespan_there(notes: Path) -> None:
    """The lifespan is opened here, too, as in an executor."""
    assert run_job(with_notes, ITEM_TYPE, "noting").status == "Completed"

    found = read_notes(notes)
    assert [text for _, text in found] == ["opened", "opened", "used", "closed", "closed"]
    assert found[1][0] == found[2][0] != found[0][0]


def test_run_job_with_resources_runs_a_handler_of_a_process_in_the_process_of_the_test(
    tmp_path: Path,
) -> None:
    """The test sees what the handler did to them."""
    own = Opened(tmp_path / "notes")

    outcome = run_job(with_notes, ITEM_TYPE, "noting-async", resources=own)

    assert outcome.status == "Completed"
    assert [text for _, text in read_notes(own.notes)] == ["used"]
