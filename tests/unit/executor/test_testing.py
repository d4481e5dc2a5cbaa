"""The kit for the tests of handlers; the real stack's outcomes are compared in `test_runs.py`."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from fabric_jobs.cli.example import executor as examples
from fabric_jobs.contract.jobs import Progress
from fabric_jobs.executor import Executor, InvokeType, Job, JobFailed, JobStopped, Retry
from fabric_jobs.executor.testing import Outcome, run_job

FORECAST = "Contoso.FinanceAnalytics.Forecast"

executor = Executor()


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Whatever a handler waits for takes no time."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


def run(job_type: str, payload: object = None, **options: Any) -> Outcome:
    """A job of the handlers here."""
    return run_job(executor, "Item", job_type, payload, **options)


def at(fraction: float) -> Any:
    """When the job is to be cancelled."""
    return lambda progress: progress.fraction >= fraction


def test_the_example_forecast_says_how_far_it_is() -> None:
    """All that it said, also what an executor would not send; its waits are skipped."""
    outcome = run_job(examples, FORECAST, "calculateForecast", {"priority": "high"})

    assert outcome.status == "Completed"
    assert outcome.progress[6] == Progress(0.5, "month 7 of 12")
    assert len(outcome.progress) == 12
    assert outcome.took_s == pytest.approx(1.2, abs=0.1)


def test_the_example_forecast_can_be_cancelled_half_way() -> None:
    """It goes no further."""
    outcome = run_job(examples, FORECAST, "calculateForecast", cancel_when=at(0.5))

    assert outcome.status == "Cancelled"
    assert outcome.progress[-1].message == "month 7 of 12"


def test_the_example_forecast_refuses_another_payload() -> None:
    """By its type, as in an executor; the error is the one that Fabric shows."""
    outcome = run_job(examples, FORECAST, "calculateForecast", {"priority": 1})

    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_code) == ("Failed", "PayloadInvalid")
    assert "$.priority" in outcome.error.message
    assert (outcome.progress, outcome.exhausted) == ((), False)


def test_the_example_import_fails_as_it_chose_to() -> None:
    """Code, source and permanence."""
    outcome = run_job(examples, FORECAST, "importActuals")

    assert outcome.error is not None
    assert (outcome.error.error_code, outcome.error.source) == ("SourceMissing", "User")
    assert outcome.error.is_permanent


@executor.job("Item", "flaky", retry=Retry(max_attempts=4, initial_s=10, factor=3, jitter=0))
async def flaky(job: Job[dict[str, int]]) -> None:
    """Succeeds at an attempt."""
    await job.progress(0, f"attempt {job.attempt}")
    if job.attempt < job.payload["succeeds_at"]:
        raise ConnectionError(f"attempt {job.attempt}")


def test_a_failed_attempt_is_tried_again_after_a_wait_that_is_skipped() -> None:
    """The waits are those of the policy."""
    outcome = run("flaky", {"succeeds_at": 3})

    assert outcome.status == "Completed"
    assert outcome.error is None
    assert outcome.attempts == 3
    assert outcome.waits_s == (10, 30)
    assert [progress.message[-1] for progress in outcome.progress] == ["1", "2", "3"]
    assert outcome.took_s == pytest.approx(40, abs=1)


def test_attempts_that_are_used_up_fail_the_job_with_all_of_its_errors() -> None:
    """The last one, and the earlier ones in its details."""
    outcome = run("flaky", {"succeeds_at": 9})

    assert outcome.error is not None
    assert (outcome.status, outcome.exhausted, outcome.attempts) == ("Failed", True, 4)
    assert outcome.error.message == "ConnectionError: attempt 4"
    assert [detail.message[-1] for detail in outcome.error.more_details] == ["3", "2", "1"]


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_at_once() -> None:
    """Nothing runs that could object."""
    outcome = run("flaky", {"succeeds_at": 9}, cancel_after_s=25)

    assert (outcome.status, outcome.attempts) == ("Cancelled", 2)
    assert outcome.took_s == pytest.approx(25, abs=1)


@executor.job("Item", "polling", run_timeout_s=600, cancel_grace_s=7)
async def polling(job: Job[dict[str, int]]) -> None:
    """Polls what never comes; a cancel is passed by so many times."""
    for _ in range(job.payload.get("swallows", 0)):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    while True:
        await asyncio.sleep(30)


def test_a_run_that_outlasts_its_timeout_is_a_failed_attempt() -> None:
    """Ten minutes pass at once."""
    outcome = run("polling")

    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_code) == ("Failed", "RunTimedOut")
    assert outcome.took_s == pytest.approx(600, abs=1)


@pytest.mark.parametrize(("swallows", "took_s"), [(0, 100), (1, 107), (2, 107)])
def test_a_cancelled_run_has_its_grace_to_end(swallows: int, took_s: int) -> None:
    """Then the job is Cancelled without it."""
    outcome = run("polling", {"swallows": swallows}, cancel_after_s=100)

    assert outcome.status == "Cancelled"
    assert took_s <= outcome.took_s < took_s + 20


def test_a_handler_that_no_cancel_ends_fails_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; it would keep its slot for as long as the executor lives."""
    with pytest.raises(AssertionError, match=r"^polling goes on, though its run is over\."):
        run("polling", {"swallows": 9}, cancel_after_s=1)


@executor.job("Item", "endless")
async def endless(job: Job[Any]) -> None:
    """Waits for nothing."""
    await asyncio.Event().wait()


def test_no_job_lives_longer_than_a_day() -> None:
    """So a handler that waits for what never comes holds no test."""
    outcome = run("endless")

    assert outcome.error is not None
    assert outcome.error.error_code == "JobExpired"


@executor.job("Item", "thread")
def in_thread(job: Job[dict[str, str]]) -> None:
    """Asks whether it should go on."""
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
def test_a_synchronous_handler_sees_the_cancel_with_its_next_question(
    then: str, status: str
) -> None:
    """At the very step; what it does then is what an executor makes of it."""
    outcome = run("thread", {"then": then}, cancel_when=at(0.3))

    assert outcome.status == status
    assert [progress.fraction for progress in outcome.progress] == [0, 0.1, 0.2, 0.3]


@executor.job("Item", "working", run_timeout_s=10)
async def working(job: Job[str]) -> None:
    """Does what time alone does not end."""
    match job.payload:
        case "thread":
            await asyncio.to_thread(time.sleep, 0.2)
        case "process":
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "import time; time.sleep(0.2)", stdin=subprocess.DEVNULL
            )
            await process.wait()
        case "socket":
            async with asyncio.timeout(5):
                await _call_a_slow_server()
    await asyncio.sleep(5)


async def _call_a_slow_server() -> None:
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
def test_work_outside_the_loop_takes_its_own_time(work: str) -> None:
    """No timeout is over before it, and what comes after it is skipped again."""
    outcome = run("working", work)

    assert outcome.status == "Completed"
    assert 5.2 <= outcome.took_s < 10


@executor.job("Item", "described")
async def described(job: Job[Any]) -> None:
    """Says what it was given."""
    raise JobFailed(
        " ".join((job.job_id, job.tenant_id, job.workspace_id, job.item_id, job.invoke_type))
    )


def test_a_job_is_what_the_test_says() -> None:
    """Each of its ids, and who asked for it."""
    ids = {"job_id": "j", "tenant_id": "t", "workspace_id": "w", "item_id": "i"}
    outcome = run("described", **ids, invoke_type=InvokeType.SCHEDULED)

    assert outcome.error is not None
    assert outcome.error.message == "j t w i Scheduled"


def test_a_handler_that_is_not_there_is_named() -> None:
    """With those that are."""
    with pytest.raises(LookupError, match=r"no handler for Item flakey; there is: Item flaky, "):
        run("flakey")


async def test_a_running_loop_is_told_apart() -> None:
    """A test is a plain function, since the loop is the kit's."""
    with pytest.raises(RuntimeError, match="call it from a plain `def`"):
        run("endless")


@executor.job("Item", "halves")
async def in_halves(job: Job[Any]) -> None:
    """Says how far it is, and would go on for an hour."""
    await job.progress(0.5)
    await asyncio.sleep(3600)


@executor.job("Item", "halves in a thread")
def in_halves_in_a_thread(job: Job[Any]) -> None:
    """Says how far it is, until it is told to stop."""
    job.progress(0.5)
    while not job.cancel_requested:
        time.sleep(0.001)


@pytest.mark.parametrize("job_type", ["halves", "halves in a thread"])
def test_what_cancel_when_raises_is_the_test_s_fault_and_not_the_handler_s(job_type: str) -> None:
    """A misspelt condition must not look like a failed job."""
    with pytest.raises(AttributeError, match="fractoin"):
        run(job_type, cancel_when=lambda progress: progress.fractoin > 0)
