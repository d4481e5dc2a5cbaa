"""The page of job types: its rows, and its buttons for operators."""

import pytest

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind
from tests.support.monitor import (
    OPERATOR,
    READER,
    FoldedJobs,
    browser_client,
    make_monitor,
    sign_in,
)

HERE = "http://monitor.test"
FORM = {"item_type": "Item", "job_type": "run", "reason": " the [b] reason "}


@pytest.fixture
def fold() -> FoldedJobs:
    """A replica with a job type that an executor serves, and a job that waits."""
    fold = FoldedJobs()
    kinds = (JobKind("Item", "run"),)
    fold.add_executor(ExecutorHeartbeat(executor_id="e", slots=1, job_kinds=kinds))
    fold.create(item_type="Item", job_type="run")
    return fold


async def test_operator_pauses_and_resumes_a_job_type(fold: FoldedJobs) -> None:
    """The page shows the pause with its reason, and each job says that its type is paused."""
    _, app = make_monitor(fold, tokens=True)
    async with browser_client(app, HERE) as client:
        await sign_in(client, OPERATOR)
        before = (await client.get("/monitor/job-types")).text
        headers = {"origin": HERE}
        paused = await client.post("/monitor/job-types/pause", data=FORM, headers=headers)
        (control,) = fold.controls.paused.values()
        during = (await client.get("/monitor/job-types")).text
        listed = (await client.get("/monitor")).text
        resumed = await client.post("/monitor/job-types/resume", data=FORM, headers=headers)

    assert "Pause the job type" in before
    assert (paused.status_code, paused.headers["location"]) == (303, "/monitor/job-types")
    assert (control.reason, control.by) == ("the [b] reason", "an operator at the monitor")
    assert "by an operator at the monitor: the [b] reason" in during
    assert "the oldest job that waits fails at" in during
    assert "Item run is paused since " in listed
    assert (resumed.status_code, fold.controls.paused) == (303, {})


async def test_reader_sees_no_button_and_may_not_pause(fold: FoldedJobs) -> None:
    """The job types are shown to readers too."""
    _, app = make_monitor(fold, tokens=True)
    async with browser_client(app, HERE) as client:
        await sign_in(client, READER)
        page = (await client.get("/monitor/job-types")).text
        headers = {"origin": HERE}
        refused = [
            (await client.post(f"/monitor/job-types/{one}", data=FORM, headers=headers)).status_code
            for one in ("pause", "resume")
        ]

    assert "run" in page
    assert "<form" not in page.partition("<main")[2]
    assert (refused, fold.controls.paused) == ([403, 403], {})


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"reason": " "}, 400, "A reason of 1 to 512 characters is required."),
        ({"reason": "x" * 513}, 400, "A reason of 1 to 512 characters is required."),
        ({"job_type": "rum"}, 404, "There are Item run."),
        ({"job_type": "x" * 129}, 400, "job_type must have 1 to 128 characters."),
    ],
    ids=["no reason", "long reason", "unknown type", "long name"],
)
async def test_invalid_pause_shows_an_error_page_with_the_reason(
    fold: FoldedJobs, changes: dict[str, str], status: int, message: str
) -> None:
    """Nothing is paused."""
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.post("/monitor/job-types/pause", data=FORM | changes)

    assert (answer.status_code, fold.controls.paused) == (status, {})
    assert message in answer.text
