"""What a handler leaves in its process never reaches the job that the process runs next."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.executor.access_tokens import AccessToken, RequestToken, TokenKind
from fabric_jobs.executor.processes.functions import function_of
from fabric_jobs.executor.processes.handler_process import HandlerProcess
from fabric_jobs.executor.processes.messages import (
    Call,
    Cancel,
    Ended,
    FromProcess,
    Logged,
    TokenAnswer,
    TokenWanted,
)
from fabric_jobs.executor.processes.pool import ProcessPool
from fabric_jobs.runtime.telemetry import logs
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.executor_runs import connect_runs, dispatched_attempt, run_to_end
from tests.support.fake_facade import FakeFacade
from tests.support.leftover_handlers import ITEM_TYPE, SCOPE, executor
from tests.support.process_calls import call_in_process, open_pool
from tests.support.processes import START_S


async def only_process(pool: ProcessPool) -> HandlerProcess:
    """Returns the process that waits for a job, and leaves it there."""
    process, is_warm = await pool.acquire()
    assert is_warm
    await pool.release(process, is_reusable=True)
    return process


async def test_late_token_of_a_job_never_reaches_the_next_job_of_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each job numbers its requests from 1. The answer to the first job comes during the second."""
    caplog.set_level(logging.INFO)
    first: Future[AccessToken] = Future()

    def give(kind: TokenKind, scope: str, claims: str) -> Future[AccessToken]:
        second: Future[AccessToken] = Future()
        if not first.done():
            first.set_result(AccessToken("token of tenant A", 0))
        second.set_result(AccessToken("token of tenant B", 0))
        return second

    async with open_pool() as pool:
        await call_in_process(pool, "giving-up", "A", lambda kind, scope, claims: first)
        process = await only_process(pool)
        await call_in_process(pool, "using", "B", give)
        assert await only_process(pool) is process

    assert caplog.messages == ["A gave up", "B got token of tenant B"]
    assert first.cancelled()


async def test_thread_that_a_job_left_gets_no_token_while_the_next_job_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is asked in the name of the next job, and a thread that waits gets an error."""
    caplog.set_level(logging.INFO)
    asked: list[tuple[str, TokenKind, str]] = []

    def giver(tenant: str, answers: bool) -> RequestToken:
        def give(kind: TokenKind, scope: str, claims: str) -> Future[AccessToken]:
            asked.append((tenant, kind, scope))
            token: Future[AccessToken] = Future()
            if answers:
                token.set_result(AccessToken(f"{kind.name} token of {tenant}", 0))
            return token

        return give

    async with open_pool() as pool:
        await call_in_process(pool, "asking-late", "A", giver("A", answers=False))
        await call_in_process(pool, "using-beside", "B", giver("B", answers=True))

    assert asked == [("A", TokenKind.USER, "of the first"), ("B", TokenKind.USER, SCOPE)]
    assert sorted(caplog.messages) == [
        "B got USER token of B",
        "late: The attempt has ended, so it gets no access token.",
        "waiting: The attempt has ended, so it gets no access token.",
    ]


@pytest.mark.parametrize(
    ("job_type", "left"),
    [
        ("threads", {"a thread", "a thread of a thread", "a thread without a starter"}),
        ("tasks", {"a task", "a thread of a task"}),
    ],
)
async def test_line_of_what_a_job_left_has_no_ids_and_is_not_in_the_log_tail_of_the_next_job(
    facade: FakeFacade, caplog: pytest.LogCaptureFixture, job_type: str, left: set[str]
) -> None:
    """The line is logged without the ids of a job. The next job's own threads have the ids."""
    caplog.set_level(logging.INFO)
    ids: dict[str, str | None] = {}

    class Ids(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "leftover_handlers":
                ids[record.getMessage()] = logs.bound_ids().get("job")

    logging.getLogger().addHandler(handler := Ids())
    try:
        async with connect_runs(facade, executor.handlers[ITEM_TYPE, job_type], slots=1) as runs:
            for job_id in ("a", "b"):
                await run_to_end(runs, dispatched_attempt(job_id))
    finally:
        logging.getLogger().removeHandler(handler)

    assert ids == {f"left: {one}": None for one in left} | {
        "own: a thread": "b",
        "own: the handler": "b",
    }
    assert facade.outcomes == ["completed", "failed"]
    tail = facade.reports[-1].log_tail
    assert tail.count("own: ") == 2
    assert "left: " not in tail


def make_call(number: int, job_type: str) -> Call:
    """Returns the call of a handler of `leftover_handlers`."""
    return Call(
        number=number,
        function=function_of(executor.handlers[ITEM_TYPE, job_type]),
        payload=b"null",
        definition=None,
        job_id=str(number),
        attempt=1,
        workspace_id="",
        item_id="",
        tenant_id="B",
        invoke_type=InvokeType.MANUAL,
        activity_id=None,
        request_id=None,
        traceparent=None,
        checkpoint=None,
        span_traceparent=None,
        memory_limit_mb=None,
        waits_for_progress=False,
    )


async def receive_until(
    process: HandlerProcess, is_wanted: Callable[[FromProcess], bool]
) -> list[FromProcess]:
    """Returns the messages of the process up to the wanted one."""
    found: list[FromProcess] = []
    async with asyncio.timeout(START_S):
        while not found or not is_wanted(found[-1]):
            message = await process.receive()
            assert message is not None
            found.append(message)
    return found


async def test_process_ignores_messages_to_a_call_that_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token and a cancel of call 1 arrive while call 2 runs."""
    caplog.set_level(logging.INFO)
    async with open_pool() as pool:
        process, _ = await pool.acquire()
        await process.send(make_call(1, "giving-up"))
        await receive_until(process, lambda one: isinstance(one, Ended))
        await process.send(make_call(2, "using"))
        await receive_until(process, lambda one: isinstance(one, TokenWanted))
        await process.send(TokenAnswer(call=1, number=1, token="token of tenant A"))
        await process.send(Cancel(call=1))
        await process.send(TokenAnswer(call=2, number=1, token="token of tenant B"))
        found = await receive_until(process, lambda one: isinstance(one, Ended))

    (line,) = [one for one in found if isinstance(one, Logged)]
    assert (line.call, line.attributes["msg"]) == (2, "B got token of tenant B")
    ended = found[-1]
    assert isinstance(ended, Ended)
    assert pb.Report.FromString(ended.report).HasField("completed")
