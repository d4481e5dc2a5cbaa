"""`run_job`, the kit for tests of handlers.

`tests/acceptance/test_runs.py` compares its outcomes with those of the programs.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import httpx
import msgspec
import pytest

from fabric_jobs.cli.example import executor as examples
from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor import (
    AccessTokenError,
    DefinitionPart,
    Executor,
    HelloRefusedError,
    InvokeType,
    ItemDefinition,
    Job,
    JobFailed,
    JobStopped,
    Retry,
)
from fabric_jobs.executor.testing import Outcome, run_job

FORECAST = "Contoso.FinanceAnalytics.Forecast"

executor = Executor()


@pytest.fixture(autouse=True)
def _limit_real_time() -> Iterator[None]:
    """Fails a test that takes 5 seconds: the kit must skip the time for which a handler waits."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


def run(job_type: str, payload: object = None, **options: Any) -> Outcome:
    """Runs a job with the handlers of this module."""
    return run_job(executor, "Item", job_type, payload, **options)


def progress_reaches(fraction: float) -> Any:
    """Returns a condition for `cancel_when`: the progress has reached this fraction."""
    return lambda progress: progress.fraction >= fraction


def test_run_job_of_the_example_forecast_returns_all_of_its_progress() -> None:
    """An executor would not send all of it. The waits of the handler are skipped."""
    outcome = run_job(examples, FORECAST, "calculateForecast", {"priority": "high"})

    assert outcome.status == "Completed"
    assert outcome.progress[6] == Progress(0.5, "month 7 of 12")
    assert len(outcome.progress) == 12
    assert outcome.took_s == pytest.approx(1.2, abs=1)


@executor.job("Item", "defined")
async def defined(job: Job[dict[str, Any]]) -> None:
    """A handler that fails with the content of the first part of the item's definition."""
    assert job.definition
    raise JobFailed(job.definition.parts[0].content().decode())


def test_run_job_with_a_definition_gives_it_to_the_handler() -> None:
    """The content of a part is decoded when the handler asks for it."""
    part = DefinitionPart(path="a.txt", payload="aGVsbG8=", payload_type="InlineBase64")
    outcome = run("defined", definition=ItemDefinition(parts=(part,)))

    assert outcome.error
    assert outcome.error.message == "hello"


@pytest.mark.parametrize(
    ("payload", "payload_type", "words"),
    [("aGVsbG8=", "Gzip", "is not InlineBase64"), ("%", "InlineBase64", "base64")],
)
def test_definition_part_of_another_encoding_has_no_content(
    payload: str, payload_type: str, words: str
) -> None:
    """The text says what is wrong."""
    with pytest.raises(ValueError, match=f"(?i){words}"):
        DefinitionPart(path="a", payload=payload, payload_type=payload_type).content()


def test_run_job_of_the_example_forecast_cancelled_half_way_ends_there() -> None:
    """The handler ends at its next wait."""
    outcome = run_job(examples, FORECAST, "calculateForecast", cancel_when=progress_reaches(0.5))

    assert outcome.status == "Cancelled"
    assert outcome.progress[-1].message == "month 7 of 12"


def test_run_job_with_a_payload_of_another_type_fails_as_in_an_executor() -> None:
    """The error is the one that Fabric shows, and the handler is not called."""
    outcome = run_job(examples, FORECAST, "calculateForecast", {"priority": 1})

    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_code) == ("Failed", "PayloadInvalid")
    assert "$.priority" in outcome.error.message
    assert (outcome.progress, outcome.exhausted) == ((), False)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ([{"priority": "high"}], r"is an object: facades refuse \[{\"priority\":\"high\"}\]"),
        ("é" * 100, 'is an object: facades refuse "é'),
        (msgspec.json.decode(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"), "at most 64 levels"),
    ],
)
def test_run_job_with_a_payload_that_every_facade_refuses_raises_value_error(
    payload: object, why: str
) -> None:
    """A test of a job that Fabric can't start must not pass."""
    with pytest.raises(ValueError, match=why):
        run_job(examples, FORECAST, "calculateForecast", payload)


def test_run_job_of_the_example_import_returns_the_error_that_it_raises() -> None:
    """The error has the chosen code, source and permanence."""
    outcome = run_job(examples, FORECAST, "importActuals")

    assert outcome.error is not None
    assert (outcome.error.error_code, outcome.error.source) == ("SourceMissing", "User")
    assert outcome.error.is_permanent


@executor.job("Item", "flaky", retry=Retry(max_attempts=4, initial_s=10, factor=3, jitter=0))
async def flaky(job: Job[dict[str, int]]) -> None:
    """Succeeds at the attempt that its payload names."""
    await job.progress(0, f"attempt {job.attempt}")
    if job.attempt < job.payload["succeeds_at"]:
        raise ConnectionError(f"attempt {job.attempt}")


def test_run_job_whose_attempt_fails_is_retried_and_skips_the_waits() -> None:
    """The waits are those of the handler's `retry`."""
    outcome = run("flaky", {"succeeds_at": 3})

    assert outcome.status == "Completed"
    assert outcome.error is None
    assert outcome.attempts == 3
    assert outcome.waits_s == (10, 30)
    assert [progress.message[-1] for progress in outcome.progress] == ["1", "2", "3"]
    assert outcome.took_s == pytest.approx(40, abs=1)


def test_run_job_whose_attempts_all_fail_returns_the_last_error_with_the_earlier_ones() -> None:
    """The earlier errors are in the details of the last one."""
    outcome = run("flaky", {"succeeds_at": 9})

    assert outcome.error is not None
    assert (outcome.status, outcome.exhausted, outcome.attempts) == ("Failed", True, 4)
    assert outcome.error.message == "ConnectionError: attempt 4"
    assert [detail.message[-1] for detail in outcome.error.more_details] == ["3", "2", "1"]


def test_run_job_cancelled_between_two_attempts_ends_at_once() -> None:
    """No handler is running that would have to end first."""
    outcome = run("flaky", {"succeeds_at": 9}, cancel_after_s=25)

    assert (outcome.status, outcome.attempts) == ("Cancelled", 2)
    assert outcome.took_s == pytest.approx(25, abs=1)


@executor.job("Item", "polling", run_timeout_s=600, cancel_grace_s=7)
async def polling(job: Job[dict[str, int]]) -> None:
    """Polls forever. It ignores as many cancels as its payload says."""
    for _ in range(job.payload.get("ignored_cancels", 0)):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    while True:
        await asyncio.sleep(30)


def test_run_job_whose_handler_exceeds_its_run_timeout_fails() -> None:
    """The ten minutes are skipped."""
    outcome = run("polling")

    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_code) == ("Failed", "RunTimedOut")
    assert outcome.took_s == pytest.approx(600, abs=1)


@pytest.mark.parametrize(("ignored_cancels", "took_s"), [(0, 100), (1, 107), (2, 107)])
def test_run_job_cancelled_waits_for_the_handler_no_longer_than_its_grace(
    ignored_cancels: int, took_s: int
) -> None:
    """After the grace the job is Cancelled, although the handler has not ended."""
    outcome = run("polling", {"ignored_cancels": ignored_cancels}, cancel_after_s=100)

    assert outcome.status == "Cancelled"
    assert took_s <= outcome.took_s < took_s + 20


def test_run_job_whose_handler_ignores_every_cancel_raises_assertion_error() -> None:
    """The message names the handler. In an executor it would keep its slot forever."""
    with pytest.raises(AssertionError, match=r"^polling does not end, although its run is over\."):
        run("polling", {"ignored_cancels": 9}, cancel_after_s=1)


@executor.job("Item", "endless")
async def endless(job: Job[Any]) -> None:
    """Runs until it is cancelled."""
    await asyncio.Event().wait()


def test_run_job_that_never_ends_fails_after_the_longest_life_of_a_job() -> None:
    """The 24 hours are skipped, so such a handler does not hang its test."""
    outcome = run("endless")

    assert outcome.error is not None
    assert outcome.error.error_code == "JobExpired"
    assert outcome.took_s == pytest.approx(86_400)


def test_run_job_with_the_longest_life_of_a_service_fails_after_it() -> None:
    """The service of the handler may have another than 24 hours."""
    outcome = run("endless", longest_life_s=3 * 86_400)

    assert outcome.error is not None
    assert outcome.error.message == "The job was not finished within 72 hours."
    assert outcome.took_s == pytest.approx(3 * 86_400)


def test_run_job_of_a_handler_with_a_longer_run_timeout_than_that_is_refused() -> None:
    """An executor with this handler would not start, so a test of it must not pass."""
    with pytest.raises(HelloRefusedError, match=r"run_timeout_s=600, and the service .+ 300 s"):
        run("polling", {"ignored_cancels": 0}, longest_life_s=300)


@executor.job("Item", "thread")
def in_thread(job: Job[dict[str, str]]) -> None:
    """Checks for a cancel after each report of progress."""
    for part in range(10):
        job.progress(part / 10)
        if job.cancel_requested:
            if job.payload["then"] == "stop":
                raise JobStopped
            if job.payload["then"] == "fail":
                raise RuntimeError("while it stopped")
            return


@pytest.mark.parametrize(
    ("then", "status"), [("stop", "Cancelled"), ("fail", "Cancelled"), ("return", "Completed")]
)
def test_run_job_of_a_def_handler_cancelled_shows_the_cancel_at_its_next_check(
    then: str, status: str
) -> None:
    """The cancel is visible at once, so a test can name the exact step."""
    outcome = run("thread", {"then": then}, cancel_when=progress_reaches(0.3))

    assert outcome.status == status
    assert [progress.fraction for progress in outcome.progress] == [0, 0.1, 0.2, 0.3]


@executor.job("Item", "working", run_timeout_s=10)
async def working(job: Job[dict[str, str]]) -> None:
    """Waits for a thread, a process or a socket, and then for 5 seconds."""
    match job.payload["for"]:
        case "thread":
            await asyncio.to_thread(time.sleep, 0.2)
        case "process":
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "import time; time.sleep(0.2)", stdin=subprocess.DEVNULL
            )
            await process.wait()
        case "socket":
            async with asyncio.timeout(5):
                await _call_slow_server()
    await asyncio.sleep(5)


async def _call_slow_server() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, httpx.AsyncClient(trust_env=False) as client:
        port = server.sockets[0].getsockname()[1]
        assert (await client.get(f"http://127.0.0.1:{port}")).status_code == 204


@pytest.mark.parametrize("work", ["thread", "process", "socket"])
def test_run_job_whose_handler_waits_for_outside_work_lets_real_time_pass(work: str) -> None:
    """No timeout fires meanwhile. The later wait in the event loop is skipped again."""
    outcome = run("working", {"for": work})

    assert outcome.status == "Completed"
    assert 5.2 <= outcome.took_s < 10


@executor.job("Item", "described")
async def described(job: Job[Any]) -> None:
    """Fails with the ids of its job as the message."""
    raise JobFailed(
        " ".join((job.job_id, job.tenant_id, job.workspace_id, job.item_id, job.invoke_type))
    )


def test_run_job_with_ids_passes_them_to_the_handler() -> None:
    """The invoke type is passed too."""
    ids = {"job_id": "j", "tenant_id": "t", "workspace_id": "w", "item_id": "i"}
    outcome = run("described", **ids, invoke_type=InvokeType.SCHEDULED)

    assert outcome.error is not None
    assert outcome.error.message == "j t w i Scheduled"


def test_run_job_without_a_handler_for_the_type_raises_lookup_error() -> None:
    """The message names the missing handler and the existing ones."""
    with pytest.raises(
        LookupError,
        match=r"no handler for Item flakey. The executor's handlers: Item defined, Item flaky, ",
    ):
        run("flakey")


async def test_run_job_in_a_running_event_loop_raises_runtime_error() -> None:
    """The kit starts its own event loop, so it needs a plain function, or a thread."""
    with pytest.raises(RuntimeError, match="Call it from a plain `def` test"):
        run("endless")

    assert (await asyncio.to_thread(run, "endless")).status == "Failed"


@executor.job("Item", "halves")
async def in_halves(job: Job[Any]) -> None:
    """Reports its progress, and then waits for an hour."""
    await job.progress(0.5)
    await asyncio.sleep(3600)


@executor.job("Item", "halves in a thread")
def in_halves_in_a_thread(job: Job[Any]) -> None:
    """Reports its progress, and then runs until it is cancelled."""
    job.progress(0.5)
    while not job.cancel_requested:
        time.sleep(0.001)


@pytest.mark.parametrize("job_type", ["halves", "halves in a thread"])
def test_run_job_whose_cancel_when_raises_raises_the_same_exception(job_type: str) -> None:
    """An error in the test must not look like a failure of the handler."""
    with pytest.raises(AttributeError, match="fractoin"):
        run(job_type, cancel_when=lambda progress: progress.fractoin > 0)


@executor.job("Item", "tokens")
async def use_tokens(job: Job[Any]) -> None:
    """Reports the tokens that it gets."""
    both = [await job.access_token("user"), await job.app_access_token("app")]
    await job.progress(1, " ".join(both))


@executor.job("Item", "tokens-in-a-thread")
def use_tokens_in_a_thread(job: Job[Any]) -> None:
    """Reports the token that it gets."""
    job.progress(1, job.credential().get_token("user").token)


@executor.job("Item", "tokens-in-a-process", run_in="process")
def use_tokens_in_a_process(job: Job[Any]) -> None:
    """Reports the token that it gets."""
    use_tokens_in_a_thread(job)


def test_run_job_gives_the_tokens_of_the_test() -> None:
    """Without them, a text that no resource accepts."""
    given = run("tokens", access_token=lambda scope: f"<{scope}>")
    default = run("tokens-in-a-thread")

    assert [one.message for one in given.progress] == ["<user> <app>"]
    assert [one.message for one in default.progress] == ["test token for user"]


def test_run_job_gives_tokens_to_a_handler_in_a_process() -> None:
    """The tokens cross to the process as they do in an executor."""
    outcome = run("tokens-in-a-process", access_token=lambda scope: f"<{scope}>")

    assert [one.message for one in outcome.progress] == ["<user>"]


@pytest.mark.parametrize("job_type", ["tokens", "tokens-in-a-thread", "tokens-in-a-process"])
def test_run_job_without_a_user_fails_the_job_as_an_executor_does(job_type: str) -> None:
    """The error is permanent, so it is not retried."""
    outcome = run(job_type, access_token=None)

    assert outcome.error
    assert (outcome.status, outcome.error.error_code) == ("Failed", "NoUserToken")
    assert (outcome.error.is_permanent, outcome.error.source) == (True, "User")


@pytest.mark.parametrize("job_type", ["tokens", "tokens-in-a-thread", "tokens-in-a-process"])
def test_run_job_whose_token_needs_consent_fails_the_job_as_an_executor_does(job_type: str) -> None:
    """The function of the test raises what a facade's refusal becomes."""

    def refuse(scope: str) -> str:
        raise AccessTokenError(f"Consent to {scope}.", code="AuthUIRequired")

    outcome = run(job_type, access_token=refuse)

    assert outcome.error
    assert (outcome.error.error_code, outcome.error.message) == (
        "AuthUIRequired",
        "Consent to user.",
    )


@pytest.mark.parametrize("run_in", [None, "process"])
def test_run_job_whose_handler_starts_a_task_that_exits_is_failed(
    run_in: Literal["process"] | None,
) -> None:
    """As in an executor, the exit ends neither the loop nor the process."""
    executor = Executor()
    executor.job("Item", "job", run_in=run_in)(exit_in_a_task)

    outcome = run_job(executor, "Item", "job")

    assert outcome.status == "Failed"
    assert outcome.error
    assert outcome.error.message == "RuntimeError: The handler raised SystemExit(5)"


async def exit_in_a_task(job: Job[Any]) -> None:
    """Awaits a task that calls `sys.exit`."""

    async def leave() -> None:
        sys.exit(5)

    await asyncio.create_task(leave())
