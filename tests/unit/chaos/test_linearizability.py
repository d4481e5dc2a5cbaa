"""Which answers one job can have given, and which not."""

import pytest

from tests.chaos.history import UNKNOWN, Operation
from tests.chaos.linearizability import find_unexplained
from tests.support.chaos_story import COMPLETED, IN_PROGRESS, JOB, operation

NOT_STARTED = {"status": "NotStarted"}
CANCELLED = {"status": "Cancelled"}
FAILED = {"status": "Failed"}


def create(start: float, **more: float) -> Operation:
    """A create that was accepted."""
    return operation("create", start, code=202, **more)  # type: ignore[arg-type]


def lost(what: str, start: float) -> Operation:
    """A request without an answer."""
    return Operation(job=JOB, what=what, replica=0, start=start, end=UNKNOWN)  # type: ignore[arg-type]


EXPLAINED = {
    "a life": [create(1), operation("poll", 2, IN_PROGRESS), operation("poll", 3, COMPLETED)],
    "polls at once show different states": [
        create(1),
        operation("poll", 2, COMPLETED, took=1),
        operation("poll", 2, NOT_STARTED, took=1),
    ],
    "a poll before the create is unknown": [operation("poll", 1, code=404), create(2)],
    "a poll during the create is unknown": [create(1, took=1), operation("poll", 1.5, code=404)],
    "a create without an answer took effect": [
        lost("create", 1),
        operation("poll", 2, code=404),
        operation("poll", 3, NOT_STARTED),
    ],
    "a create without an answer had no effect": [lost("create", 1), operation("poll", 9, code=404)],
    "a create of 503 took effect later": [
        operation("create", 1, code=503),
        operation("poll", 2, code=404),
        operation("poll", 3, IN_PROGRESS),
    ],
    "a job that no client created": [operation("poll", 1, NOT_STARTED)],
    "a cancel before the start": [create(1), operation("cancel", 2, CANCELLED)],
    "a cancel of a run": [
        create(1),
        operation("cancel", 2, IN_PROGRESS),
        operation("poll", 3, IN_PROGRESS),
        operation("poll", 4, CANCELLED),
    ],
    "a cancel that came too late": [
        create(1),
        operation("cancel", 2, IN_PROGRESS),
        operation("poll", 3, COMPLETED),
    ],
    "a cancel without an answer": [
        create(1),
        lost("cancel", 2),
        operation("poll", 3, NOT_STARTED),
        operation("poll", 4, CANCELLED),
    ],
}
UNEXPLAINED = {
    "unknown after it was accepted": [create(1), operation("poll", 2, code=404)],
    "known before it was created": [operation("poll", 1, NOT_STARTED), create(2)],
    "behind an earlier answer": [
        create(1),
        operation("poll", 2, IN_PROGRESS),
        operation("poll", 3, NOT_STARTED, replica=1),
    ],
    "the end is undone": [
        create(1),
        operation("poll", 2, COMPLETED),
        operation("poll", 3, IN_PROGRESS, replica=1),
    ],
    "two ends": [create(1), operation("poll", 2, COMPLETED), operation("poll", 3, FAILED)],
    "cancelled by nobody": [create(1), operation("poll", 2, CANCELLED)],
    "cancelled before it was asked": [
        create(1),
        operation("poll", 2, CANCELLED),
        operation("cancel", 3, CANCELLED),
    ],
    "a cancel of a waiting job that had no effect": [
        create(1),
        operation("cancel", 2, CANCELLED),
        operation("poll", 3, NOT_STARTED),
    ],
    "a cancel that leaves a job waiting": [create(1), operation("cancel", 2, NOT_STARTED)],
}


@pytest.mark.parametrize("operations", EXPLAINED.values(), ids=EXPLAINED)
def test_answers_that_some_order_explains_are_no_breach(operations: list[Operation]) -> None:
    """One job that changes at moments can have given them."""
    assert find_unexplained(operations) is None


@pytest.mark.parametrize("operations", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_answers_that_no_order_explains_are_a_breach(operations: list[Operation]) -> None:
    """The breach names the first answers that the best order does not explain."""
    found = find_unexplained(operations)

    assert found
    assert found.explained < len(operations)
    assert found.answers


def test_many_answers_at_once_are_judged_in_time() -> None:
    """States are few, so the search stays small although the orders are many."""
    polls = [operation("poll", 2, IN_PROGRESS, took=10) for _ in range(12)]

    assert find_unexplained([create(1), *polls]) is None
