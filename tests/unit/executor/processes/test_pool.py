"""Handlers in processes of their own, connected to a fake facade."""

import asyncio
import importlib
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.executor import Executor, HandlerDefinitionError, Job
from fabric_jobs.executor.handlers import Handler, make_handler
from fabric_jobs.executor.processes.messages import Call, Function
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.executor.runs import handler_task
from fabric_jobs.executor.runs import runs as runs_module
from fabric_jobs.executor.runs.runs import Runs
from fabric_jobs.runtime.telemetry import logs
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support import process_handlers
from tests.support.captured_logs import lines_with_stacks
from tests.support.executor_runs import (
    connect_runs,
    dispatched_attempt,
    first_run,
    put,
    run_to_end,
    start_run,
)
from tests.support.fake_facade import FakeFacade
from tests.support.lifecycle import TENANT
from tests.support.process_handlers import ITEM_TYPE, executor
from tests.support.processes import START_S, await_gone, await_pid, is_running

#: Seconds after the end of a grace in which the process must be gone.
PROMISED_S = 1.0
GRACE_S = 0.3
ENDLESS = ["deaf", "holding-gil", "backtracking"]

#: The `extra` of a line of the handler `unencodable`, as it reaches the executor.
EXTRA = {
    "huge": "18446744073709551616",
    "longest": "(its text can't be made)",
    "silent": "(its text can't be made)",
    "text": "a",
    "n\\udce9": 1.5,
    "limit": -(2**63),
}


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time that a handler has to clean up."""
    monkeypatch.setattr(handler_task, "CLEAN_UP_TIMEOUT_S", GRACE_S)
    monkeypatch.setattr(runs_module, "CLEAN_UP_TIMEOUT_S", GRACE_S)


def handler_of(job_type: str) -> Handler:
    """Returns a handler of `process_handlers`."""
    return executor.handlers[ITEM_TYPE, job_type]


@asynccontextmanager
async def running(
    facade: FakeFacade, job_type: str, path: Path, **payload: Any
) -> AsyncIterator[tuple[Runs, int]]:
    """Runs one job until the block ends. Gives its process id."""
    async with connect_runs(facade, handler_of(job_type)) as runs:
        start_run(runs, "a", json.dumps({"pid": str(path)} | payload).encode())
        yield runs, await await_pid(path)


async def end_of(facade: FakeFacade, job_type: str, **payload: Any) -> pb.Report:
    """Runs one job until its final report is answered, and returns the report."""
    async with connect_runs(facade, handler_of(job_type)) as runs:
        await run_to_end(runs, dispatched_attempt("a", json.dumps(payload).encode()))
        return facade.reports[-1]


async def test_handler_in_a_process_gets_its_job_and_reports_progress_and_logs(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line from a handler's own thread has the ids, too. A print goes to standard error."""
    caplog.set_level(logging.INFO)
    lines: list[dict[str, str]] = []

    class Ids(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "process_handlers":
                lines.append(logs.bound_ids() | {"message": record.getMessage()})

    logging.getLogger().addHandler(ids := Ids())
    try:
        report = await end_of(facade, "reporting", size=7)
    finally:
        logging.getLogger().removeHandler(ids)

    assert report.HasField("completed")
    assert facade.reports[-2].progress.message == "step 999"
    assert [line["message"] for line in lines] == [
        "from the handler",
        "from a thread",
        f"trace {0:032x}",
        "definition None",
        f"{TENANT} 1 7",
    ]
    assert {(line["job"], line["attempt"]) for line in lines} == {("a", "1")}
    (first,) = [one for one in caplog.records if one.getMessage() == "from the handler"]
    assert first.rows == 5  # type: ignore[attr-defined] # by `extra`
    assert "printed by the handler" in capfd.readouterr().err


def test_call_of_a_process_has_every_attribute_of_a_job() -> None:
    """So the handler misses nothing in its process, which opens the resources for itself."""
    attributes = {one.name for one in fields(Job) if not one.name.startswith("_")}

    assert attributes - {"resources"} <= {*Call.__struct_fields__, *Function.__struct_fields__}


async def test_handler_in_a_process_gets_the_definition_of_the_item(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """The definition crosses to the process with the call."""
    caplog.set_level(logging.INFO)
    part = b'{"path": "model.json", "payload": "e30=", "payloadType": "InlineBase64"}'
    async with connect_runs(facade, handler_of("reporting")) as runs:
        put(runs, replace(dispatched_attempt("a"), definition=b'{"parts": [%s]}' % part))
        runs.start_ready()
        await facade.wait_until(lambda: "completed" in facade.outcomes, START_S)

    assert "definition model.json" in caplog.messages


async def test_handler_in_a_process_continues_the_trace_of_its_job(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """What the handler calls belongs to the request's trace."""
    caplog.set_level(logging.INFO)
    traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    async with connect_runs(facade, handler_of("reporting")) as runs:
        attempt = replace(dispatched_attempt("a"), traceparent=traceparent)
        put(runs, attempt)
        runs.start_ready()
        await facade.wait_until(lambda: "completed" in facade.outcomes, START_S)

    assert f"trace {traceparent[3:35]}" in caplog.messages


async def test_handler_in_a_process_that_gets_sigterm_goes_on(
    facade: FakeFacade, tmp_path: Path
) -> None:
    """An orchestrator may signal every process. The executor then asks its handlers itself."""
    async with running(facade, "looping", tmp_path / "pid") as (runs, process_id):
        os.kill(process_id, signal.SIGTERM)
        os.kill(process_id, signal.SIGINT)
        await runs.drain(0.1)

    assert facade.outcomes == ["handed_back"]


async def test_handler_in_a_process_that_raises_fails_with_its_error_and_traceback(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback shows the author's code only. The last log lines are in the report, too."""
    caplog.set_level(logging.INFO)
    report = await end_of(facade, "raising")

    assert report.failed.message == "ValueError: no such region"
    assert report.failed.error_code == "HandlerError"
    assert 'raise ValueError("no such region")' in report.traceback
    assert report.log_tail.endswith("INFO process_handlers: the region is north\n")
    (warning,) = [one for one in lines_with_stacks(caplog) if "no such region" in one]
    assert warning.endswith("\nValueError: no such region")  # no empty line below it
    assert "fabric_jobs/executor" not in report.traceback


@pytest.mark.parametrize(
    ("job_type", "payload", "code", "is_permanent", "text"),
    [
        ("failing", {}, "RegionClosed", True, "Closed."),
        ("quick", {"size": "x"}, "PayloadInvalid", True, "Expected `int`, got `str`"),
        ("system-exit", {}, "HandlerError", False, "SystemExit(4)"),
        ("killed", {}, "HandlerProcessDied", False, "SIGKILL. If the system ran out of memory"),
        ("killed", {"signal": 6}, "HandlerProcessDied", False, "SIGABRT. A native library"),
        ("crashing", {}, "HandlerProcessDied", False, "SIGSEGV. A native library crashed"),
        ("exiting", {}, "HandlerProcessDied", False, "exited with code 3"),
    ],
)
async def test_handler_in_a_process_that_fails_or_dies_fails_with_a_code_of_its_own(
    facade: FakeFacade,
    job_type: str,
    payload: dict[str, Any],
    code: str,
    is_permanent: bool,
    text: str,
) -> None:
    """The message names the signal, and what to do."""
    report = await end_of(facade, job_type, **payload)

    assert report.failed.error_code == code
    assert report.failed.permanent == is_permanent
    assert text in report.failed.message


async def test_handler_in_a_process_that_needs_more_memory_than_its_limit_fails(
    facade: FakeFacade,
) -> None:
    """The message names the limit. The traceback has the line."""
    report = await end_of(facade, "allocating", size=500_000_000)

    assert report.failed.error_code == "MemoryLimitExceeded"
    assert "memory_limit_mb=256" in report.failed.message
    assert "bytearray(job.payload.size)" in report.traceback


async def test_texts_and_numbers_that_no_message_can_carry_are_reported_and_logged_as_texts(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    """A name of a file may be no UTF-8. No line is lost, and progress never fails a job."""
    caplog.set_level(logging.INFO)
    report = await end_of(facade, "unencodable")

    assert report.HasField("completed")
    assert facade.reports[0].progress.message == "reads caf?.txt"
    *lines, values = [one for one in caplog.records if one.name == "process_handlers"]
    assert [one.getMessage() for one in lines] == [
        "reads caf\\udce9.txt",
        "'%d rows' can't be formatted: TypeError: %d format: a real number is required, not str",
    ]
    assert {name: value for name, value in vars(values).items() if name in EXTRA} == EXTRA


@pytest.mark.parametrize("job_type", ["looping", "asynchronous"])
async def test_handler_in_a_process_when_cancelled_ends_by_itself(
    facade: FakeFacade, tmp_path: Path, job_type: str
) -> None:
    """Its process stays for the next job."""
    async with running(facade, job_type, tmp_path / "pid") as (runs, process_id):
        facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)
        await runs.drain(5)
        assert is_running(process_id)

    assert facade.outcomes == ["stopped"]
    assert not is_running(process_id)


@pytest.mark.parametrize("job_type", ENDLESS)
async def test_cancelled_handler_in_a_process_is_killed_when_its_cancel_grace_is_over(
    facade: FakeFacade, tmp_path: Path, job_type: str
) -> None:
    """The executor does not wait for the facade's word, which comes with a later heartbeat."""
    grace_s = handler_of(job_type).policy.cancel_grace_s
    async with running(facade, job_type, tmp_path / "pid") as (_, process_id):
        begin = time.monotonic()
        facade.send(pb.SessionResponse(cancels=[first_run("a")]))
        await facade.wait_until(lambda: facade.reports)
        took_s = time.monotonic() - begin
        await await_gone(process_id)

    assert facade.outcomes == ["stopped"]
    assert grace_s <= took_s < grace_s + PROMISED_S


@pytest.mark.parametrize("is_cancelled", [True, False])
@pytest.mark.parametrize("job_type", ENDLESS)
async def test_stopped_handler_in_a_process_that_does_not_end_is_killed_after_its_grace(
    facade: FakeFacade, tmp_path: Path, job_type: str, is_cancelled: bool
) -> None:
    """A stop comes for a lost lease and a run timeout, and when the cancel grace is over.

    The slot is free, and the process is gone, within a second, also in a C call that holds the
    interpreter's lock. Meanwhile the executor sends its heartbeats.
    """
    async with running(facade, job_type, tmp_path / "pid") as (runs, process_id):
        if is_cancelled:
            facade.send(pb.SessionResponse(cancels=[first_run("a")]))
            await facade.wait_for_heartbeats(10)
        freed = asyncio.create_task(runs.wait_for_freed_slot())
        await asyncio.sleep(0)
        begin = time.monotonic()
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        await facade.wait_for_heartbeats(2)
        await freed
        took_s = time.monotonic() - begin
        await await_gone(process_id)

    assert took_s < GRACE_S + PROMISED_S
    assert facade.reports == []


async def test_drain_kills_the_process_of_a_handler_that_does_not_end_and_hands_back_its_job(
    facade: FakeFacade, tmp_path: Path
) -> None:
    """The handler is asked first."""
    async with running(facade, "holding-gil", tmp_path / "pid") as (runs, process_id):
        await runs.drain(0)
        await await_gone(process_id)

    assert facade.outcomes == ["handed_back"]


async def test_programs_that_a_killed_handler_started_end_with_it(
    facade: FakeFacade, tmp_path: Path
) -> None:
    """They are in the group of the handler's process."""
    async with running(facade, "parent", tmp_path / "pid") as (_, program_id):
        facade.send(pb.SessionResponse(stops=[first_run("a")]))
        await await_gone(program_id)


async def test_run_whose_process_can_not_be_started_is_handed_back(
    facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is not to blame."""

    async def refuse_to_start(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    async with connect_runs(facade, handler_of("quick")) as runs:
        with monkeypatch.context() as patches:
            patches.setattr(asyncio, "create_subprocess_exec", refuse_to_start)
            start_run(runs, "a")
            await facade.wait_until(lambda: facade.outcomes == ["handed_back"])
        await runs.wait_for_freed_slot()


async def test_process_of_an_ended_handler_runs_the_next_one(
    facade: FakeFacade, tmp_path: Path
) -> None:
    """Unless it died while it waited: then another one is started, and no job fails."""
    process_ids = []
    async with connect_runs(facade, handler_of("quick"), slots=1) as runs:
        for number in range(3):
            path = tmp_path / str(number)
            payload = json.dumps({"pid": str(path)}).encode()
            await run_to_end(runs, dispatched_attempt(str(number), payload))
            process_ids.append(int(path.read_text()))
            if number == 1:
                os.kill(process_ids[-1], signal.SIGKILL)

    assert process_ids[0] == process_ids[1] != process_ids[2]
    assert facade.outcomes == ["completed"] * 3


def nested() -> Callable[[Job[Any]], None]:
    """Returns a function that can't be imported."""

    def inner(job: Job[Any]) -> None: ...

    return inner


def replaced(job: Job[Any]) -> None:
    """A function whose name another one takes below."""


replaced_before = replaced


def replaced(job: Job[Any]) -> None:  # type: ignore[no-redef]
    """The function that has the name."""


def in_main(job: Job[Any]) -> None:
    """A function that says that it is in the main program."""


in_main.__module__ = "__main__"


class Service:
    """An object with a handler."""

    def refresh(self, job: Job[Any]) -> None:
        """A method, which needs the object."""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda job: None, "it is a lambda or a nested function"),
        (nested(), "it is a lambda or a nested function"),
        (in_main, "it is in the main program"),
        (replaced_before, "is another object"),
        (Service().refresh, "it is bound to an object"),
    ],
)
async def test_handler_that_no_process_can_import_is_refused_at_the_start(
    function: Callable[[Job[Any]], None], reason: str
) -> None:
    """The error says why, and what to do."""
    handler = make_handler("Test.Item", "test", function, run_in="process")
    with pytest.raises(HandlerDefinitionError, match=reason):
        await ProcessPool().check([handler])


async def test_handler_whose_module_a_process_does_not_find_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the reason of the import."""
    module = tmp_path / "vanishing_jobs.py"
    module.write_text("def handle(job): ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    function = importlib.import_module("vanishing_jobs").handle
    module.unlink()
    handler = make_handler("Test.Item", "test", function, run_in="process")
    with pytest.raises(HandlerDefinitionError, match="No module named 'vanishing_jobs'"):
        await ProcessPool().check([handler])


async def test_handlers_that_processes_can_import_are_accepted_at_the_start() -> None:
    """The process that was asked waits for the first job."""
    pool = ProcessPool()
    await pool.check(executor.handlers.values())
    process, is_warm = await pool.acquire()
    await process.end()

    assert is_warm


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_in": "thread"}, "run_in must be"),
        ({"memory_limit_mb": 500}, 'memory_limit_mb needs run_in="process"'),
        ({"run_in": "process", "memory_limit_mb": 1}, "at least 128"),
        ({"run_in": "process", "memory_limit_mb": 0.5}, "at least 128"),
    ],
)
def test_handler_with_wrong_options_for_a_process_is_refused(
    options: dict[str, Any], message: str
) -> None:
    """The error says what is allowed."""
    with pytest.raises(HandlerDefinitionError, match=message):
        Executor().job("Test.Item", "test", **options)(process_handlers.quick)
