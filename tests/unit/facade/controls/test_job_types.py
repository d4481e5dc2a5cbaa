"""The list of job types, their pause and their resume, on a folded log."""

from datetime import timedelta

import pytest

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind
from fabric_jobs.facade.controls import InvalidJobTypeError, JobTypeState, UnknownJobTypeError
from tests.support.monitor import FoldedJobs

SERVED, WAITING, DONE = (JobKind("Item", name) for name in ("served", "waiting", "done"))


@pytest.fixture
def fold() -> FoldedJobs:
    """A type that an executor serves, one with two jobs that wait, one with an ended job."""
    fold = FoldedJobs()
    fold.add_executor(ExecutorHeartbeat(executor_id="e", slots=1, job_kinds=(SERVED,)))
    fold.age = timedelta(minutes=2)
    fold.create(item_type="Item", job_type="waiting")
    fold.age = timedelta()
    fold.create(item_type="Item", job_type="waiting")
    running = fold.create(item_type="Item", job_type="served")
    fold.start(running)
    ended = fold.create(item_type="Item", job_type="done")
    fold.cancel(ended)
    return fold


async def test_list_shows_types_with_an_executor_or_unfinished_jobs_or_a_pause(
    fold: FoldedJobs,
) -> None:
    """A type whose jobs have all ended is listed while it is paused."""
    listed = await fold.job_types.list()
    assert [(one.kind, one.executors, one.not_started, one.in_progress) for one in listed] == [
        (SERVED, 1, 0, 1),
        (WAITING, 0, 2, 0),
    ]
    served, waiting = listed
    assert served.start_deadline is None
    assert waiting.oldest_create_time
    assert waiting.start_deadline == waiting.oldest_create_time + START_DEADLINE

    paused = await fold.job_types.pause(DONE, "why", "ada")
    assert paused in await fold.job_types.list()
    assert paused.pause
    assert (paused.kind, paused.pause.reason, paused.pause.by) == (DONE, "why", "ada")


async def test_pause_of_an_unknown_type_lists_the_known_ones(fold: FoldedJobs) -> None:
    """The nearest name comes first."""
    with pytest.raises(UnknownJobTypeError) as raised:
        await fold.job_types.pause(JobKind("Item", "waitin"), "why", "ada")

    assert str(raised.value) == (
        "No executor has a handler for Item waitin, and no job has this type. "
        "There are Item waiting, Item served."
    )
    with pytest.raises(UnknownJobTypeError, match="There are none yet"):
        await FoldedJobs().job_types.pause(SERVED, "why", "ada")


@pytest.mark.parametrize("action", ["pause", "resume"])
@pytest.mark.parametrize(
    ("kind", "field"),
    [(JobKind("", "run"), "item_type"), (JobKind("Item", "x" * 129), "job_type")],
)
async def test_pause_and_resume_refuse_names_that_no_job_type_can_have(
    fold: FoldedJobs, action: str, kind: JobKind, field: str
) -> None:
    """The message does not repeat them."""
    why = ["why"] if action == "pause" else []
    with pytest.raises(InvalidJobTypeError) as raised:
        await getattr(fold.job_types, action)(kind, *why, "ada")

    assert str(raised.value) == f"{field} must have 1 to 128 characters."


async def test_resume_ends_the_pause_and_may_be_repeated(fold: FoldedJobs) -> None:
    """A second resume changes nothing, and writes nothing."""
    await fold.job_types.pause(WAITING, "why", "ada")
    first = await fold.job_types.resume(WAITING, "bob")
    second = await fold.job_types.resume(WAITING, "bob")

    assert first == second == (WAITING, 0, 2, 0, first.oldest_create_time, None)
    assert isinstance(first, JobTypeState)
    with pytest.raises(UnknownJobTypeError, match=r"Item other is not paused\. .*: none\."):
        await fold.job_types.resume(JobKind("Item", "other"), "bob")
