"""Operators cancel and retry jobs: one by one, and all that match the filters of the list."""

import asyncio
import html
import re
import uuid
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from fabric_jobs.contract.guids import retry_id
from fabric_jobs.contract.jobs import JobInstanceStatus as Status
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.monitor import bulk, bulk_pages
from fabric_jobs.facade.monitor.bulk import BulkAction, BulkBusyError, BulkRun, BulkRuns
from tests.support.monitor import READER, FoldedJobs, browser_client, make_monitor, sign_in

HERE = "http://monitor.test"


@pytest.fixture
def fold() -> FoldedJobs:
    """Returns a replica without jobs."""
    return FoldedJobs()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a run change its jobs without a pause."""
    monkeypatch.setattr(bulk, "RATE_PER_S", 1_000_000)
    monkeypatch.setattr(bulk, "RETRY_S", 0)


def failed_job(fold: FoldedJobs, **fields: Any) -> str:
    """Creates a job that failed."""
    job_id = fold.create(**fields)
    fold.start(job_id)
    fold.fail(job_id, "no")
    return job_id


def status(fold: FoldedJobs, job_id: str) -> Status:
    """Returns the job's status."""
    stored = fold.replica.get(job_id)
    assert stored
    return stored.job.state.status


def form_of(page: str) -> dict[str, str]:
    """Returns the hidden fields of the page's form."""
    fields = re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)">', page)
    return {name: html.unescape(value) for name, value in fields}


async def result_of(client: httpx.AsyncClient, answer: httpx.Response) -> str:
    """Returns the page of the run once it is done."""
    assert answer.status_code == 303, answer.text
    async with asyncio.timeout(10):
        while ">In progress<" in (page := (await client.get(answer.headers["location"])).text):
            await asyncio.sleep(0.01)
    return page


async def test_bulk_cancel_counts_asks_and_changes_only_the_jobs_that_match(
    fold: FoldedJobs,
) -> None:
    """A job that is created after the question is not cancelled. The result counts each outcome."""
    waiting, running, other = (fold.create(job_type=name) for name in ("a", "a", "b"))
    fold.start(running)
    ended = failed_job(fold, job_type="a")
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        listed = (await client.get("/monitor?job_type=a&since=2h")).text
        question = (await client.get("/monitor/bulk/cancel?job_type=a&since=2h")).text
        late = fold.create(job_type="a")
        answer = await client.post("/monitor/bulk/cancel", data=form_of(question))
        page = await result_of(client, answer)

    assert 'href="/monitor/bulk/cancel?job_type=a&amp;since=2h"' in listed
    assert "Cancel 2 jobs" in question
    assert [status(fold, one) for one in (waiting, running, other, ended, late)] == [
        Status.CANCELLED,
        Status.IN_PROGRESS,
        Status.NOT_STARTED,
        Status.FAILED,
        Status.NOT_STARTED,
    ]
    assert "<dt>asked to stop</dt><dd>1</dd>" in page
    assert "<dt>cancelled</dt><dd>1</dd>" in page
    assert ">Done<" in page


async def test_bulk_retry_starts_each_failed_job_once(fold: FoldedJobs) -> None:
    """Jobs that another job has replaced are left out, so a second run finds none."""
    old = [failed_job(fold, job_type="a") for _ in range(3)]
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        question = (await client.get("/monitor/bulk/retry?job_type=a")).text
        page = await result_of(
            client, await client.post("/monitor/bulk/retry", data=form_of(question))
        )
        again = (await client.get("/monitor/bulk/retry?job_type=a")).text

    assert "<dt>retried</dt><dd>3</dd>" in page
    assert all(fold.replica.get(retry_id(job_id)) for job_id in old)
    assert "No job matches." in again


@pytest.mark.parametrize("action", BulkAction)
async def test_bulk_run_goes_on_where_the_run_before_ended(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch, action: BulkAction
) -> None:
    """A run changes no more than its bound, the oldest first; the same filters find the others."""
    monkeypatch.setattr(bulk_pages, "MAX_JOBS", 2)
    create = failed_job if action is BulkAction.RETRY else FoldedJobs.create
    jobs = [create(fold, job_type="a") for _ in range(5)]
    path = f"/monitor/bulk/{action}"
    changed, more = list[int](), list[bool]()
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        for _ in range(3):
            question = (await client.get(f"{path}?job_type=a&until=0s")).text
            more.append("More jobs match" in question)
            await result_of(client, await client.post(path, data=form_of(question)))
            changed.append(
                sum(
                    bool(fold.replica.get(retry_id(one))) or status(fold, one) is Status.CANCELLED
                    for one in jobs
                )
            )
        end = (await client.get(f"{path}?job_type=a&until=0s")).text

    assert "No job matches." in end
    assert (changed, more) == ([2, 4, 5], [True, True, False])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cancel", "Without a filter this would concern every job."),
        ("cancel?order=oldest", "Without a filter this would concern every job."),
        ("cancel?item=7", "is not a GUID"),
        ("delete?job_type=a", "This page does not exist."),
    ],
)
async def test_bulk_page_without_a_valid_filter_or_action_is_refused(
    fold: FoldedJobs, path: str, message: str
) -> None:
    """The error page says why."""
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get(f"/monitor/bulk/{path}")

    assert answer.status_code in (400, 404)
    assert message in html.unescape(answer.text)


@pytest.mark.parametrize("count", ["1", "", "x", "٣", "9" * 4000])
async def test_bulk_start_with_more_jobs_than_confirmed_changes_nothing(
    fold: FoldedJobs, count: str
) -> None:
    """The count is what the operator saw."""
    jobs = [fold.create(job_type="a") for _ in range(2)]
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        form = {"job_type": "a", "count": count}
        answer = await client.post("/monitor/bulk/cancel", data=form)

    assert answer.status_code == 409
    assert "more than you confirmed" in answer.text
    assert {status(fold, one) for one in jobs} == {Status.NOT_STARTED}


async def test_reader_sees_no_bulk_links_and_may_not_start_a_run(fold: FoldedJobs) -> None:
    """The question is for operators too, and so is the retry of one job."""
    job_id = failed_job(fold, job_type="a")
    _, app = make_monitor(fold, tokens=True)
    async with browser_client(app, HERE) as client:
        await sign_in(client, READER)
        listed = (await client.get("/monitor?job_type=a")).text
        page = (await client.get(f"/monitor/jobs/{job_id}")).text
        question = await client.get("/monitor/bulk/retry?job_type=a")
        headers = {"origin": HERE}
        posts = [
            (
                await client.post(f"/monitor/{path}", data={"count": "1"}, headers=headers)
            ).status_code
            for path in ("bulk/retry", f"jobs/{job_id}/retry", "bulk-runs/x/stop")
        ]

    assert "/monitor/bulk/" not in listed
    assert "/retry" not in page
    assert (question.status_code, posts) == (403, [403, 403, 403])
    assert fold.replica.get(retry_id(job_id)) is None


async def test_retry_button_starts_the_job_once_however_often_it_is_clicked(
    fold: FoldedJobs,
) -> None:
    """Each click leads to the new job. Afterwards the old job has no button."""
    job_id = failed_job(fold)
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        before = (await client.get(f"/monitor/jobs/{job_id}")).text
        answers = [await client.post(f"/monitor/jobs/{job_id}/retry") for _ in "12"]
        after = (await client.get(f"/monitor/jobs/{job_id}")).text

    assert f"/monitor/jobs/{job_id}/retry" in before
    assert f"/monitor/jobs/{job_id}/retry" not in after
    new = retry_id(job_id)
    assert [one.headers["location"] for one in answers] == [f"/monitor/jobs/{new}"] * 2
    assert status(fold, new) is Status.NOT_STARTED


async def test_retry_of_a_job_that_goes_on_is_refused(fold: FoldedJobs) -> None:
    """The message says why."""
    job_id = fold.create()
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.post(f"/monitor/jobs/{job_id}/retry")

    assert (answer.status_code, "the job is not final" in answer.text) == (409, True)


async def test_bulk_run_tries_again_while_kafka_is_away_and_names_the_jobs_it_gave_up(
    fold: FoldedJobs,
) -> None:
    """The run goes on with the other jobs."""
    lost, found = fold.create(), fold.create()
    tries = []
    do = fold.do

    async def execute(command: RequestCancel) -> Any:
        tries.append(command.job_id)
        if command.job_id == lost or len(tries) < bulk.TRIES + 2:
            raise UnavailableError(UnavailableReason.LOG_UNREACHABLE, "Kafka is away.")
        return do(command)

    fold.execute = execute  # type: ignore[assignment, method-assign]
    runs = BulkRuns(fold)  # type: ignore[arg-type]
    run = runs.start(BulkAction.CANCEL, [lost, found, str(uuid.UUID(int=9))])
    with pytest.raises(BulkBusyError):
        runs.start(BulkAction.CANCEL, [])
    async with asyncio.timeout(10):
        while run.running:
            await asyncio.sleep(0.01)

    assert tries == [lost] * bulk.TRIES + [found] * 2 + [str(uuid.UUID(int=9))]
    assert run.results == {"failed": 2, "cancelled": 1}
    assert run.failures == {
        lost: "Kafka is away.",
        str(uuid.UUID(int=9)): "refused: the job is not known",
    }


async def test_bulk_run_keeps_its_rate_and_stops_between_two_jobs(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says how many jobs are done, and that a repetition is safe."""
    monkeypatch.setattr(bulk, "RATE_PER_S", 1)
    jobs = [fold.create(job_type="a") for _ in range(3)]
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        question = (await client.get("/monitor/bulk/cancel?job_type=a")).text
        answer = await client.post("/monitor/bulk/cancel", data=form_of(question))
        place = answer.headers["location"]
        page = (await client.get(place)).text
        monkeypatch.setattr(bulk, "RATE_PER_S", 1_000_000)
        await client.post(f"{place}/stop")
        async with asyncio.timeout(10):
            while ">Stopped<" not in (await client.get(place)).text:
                await asyncio.sleep(0.01)
        stopped = (await client.get(place)).text

    assert "1 of 3" in page
    assert "repeating is safe" in stopped
    assert [status(fold, one) for one in jobs] == [
        Status.CANCELLED,
        Status.NOT_STARTED,
        Status.NOT_STARTED,
    ]


async def test_bulk_run_that_fails_unexpectedly_ends_and_logs_the_error(
    fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody awaits the run, so its error would be lost."""
    monkeypatch.setattr(fold, "execute", AsyncMock(side_effect=RuntimeError("a fault")))
    run = BulkRun(BulkAction.CANCEL, [fold.create()])
    await run.execute(fold)  # type: ignore[arg-type]

    assert not run.running
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "bulk cancel from the monitor failed"
    ]
