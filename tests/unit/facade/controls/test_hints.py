"""What keeps a waiting job from its start."""

import pytest

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.controls import start_hint
from tests.support.controls import pause
from tests.support.lifecycle import WAYS, drive

QUEUED = drive(WAYS["queued"])
ITEM, JOB_TYPE = QUEUED.state.item_type, QUEUED.state.job_type
KIND = JobKind(ITEM, JOB_TYPE)
ENDS = "The job fails at 01:50:01 UTC unless it starts."


def test_hint_of_a_type_without_a_handler_names_the_nearest_types_first() -> None:
    """A misspelt job type is the likeliest reason."""
    near = JobKind(ITEM, JOB_TYPE[:-1])
    served = {JobKind("A", "a"), JobKind("B", "b"), near}

    assert start_hint(QUEUED, served, {}) == (
        f"No executor has a handler for {ITEM} {JOB_TYPE}; there are {ITEM} {JOB_TYPE[:-1]}, "
        f"A a, B b. {ENDS}"
    )


def test_hint_lists_five_names_and_the_number_of_the_others() -> None:
    """A facade may know hundreds of types."""
    served = {JobKind("A", str(number)) for number in range(7)}

    assert "there are A 0, A 1, A 2, A 3, A 4 and 2 more." in start_hint(QUEUED, served, {})


def test_hint_without_executors_says_so() -> None:
    """No name is near then."""
    assert start_hint(QUEUED, frozenset(), {}) == (
        f"No executor has a handler for {ITEM} {JOB_TYPE}; no executor is connected. {ENDS}"
    )


def test_hint_of_a_paused_type_names_the_pause() -> None:
    """Whether or not an executor serves the type."""
    control = pause(ITEM, JOB_TYPE, "the warehouse is moved")

    for served in ({KIND}, frozenset[JobKind]()):
        assert start_hint(QUEUED, served, {KIND: control}) == (
            f"{ITEM} {JOB_TYPE} is paused since 2026-01-01 00:00:00 UTC by ada: "
            f"the warehouse is moved. {ENDS}"
        )


def test_hint_of_a_requeued_job_names_no_start_deadline() -> None:
    """The job has started once, so the start deadline does not apply."""
    hint = start_hint(drive(WAYS["queued again"]), frozenset(), {})

    assert hint.startswith("No executor has a handler for ")
    assert "fails at" not in hint


@pytest.mark.parametrize("phase", ["running", "stopping", "waiting", "completed", "cancelled"])
def test_hint_is_empty_for_a_job_that_waits_for_no_executor(phase: str) -> None:
    """It is empty too for a type that an executor serves: such a job waits for a free slot."""
    assert start_hint(drive(WAYS[phase]), frozenset(), {KIND: pause(ITEM, JOB_TYPE)}) == ""
    assert start_hint(QUEUED, {KIND}, {}) == ""
