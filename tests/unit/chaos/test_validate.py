"""Each validator tells of a breach of its own sentence, and of nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.answers import stale
from tests.chaos.history import Line
from tests.chaos.validate import VALIDATORS, validate
from tests.support.chaos_story import (
    COMPLETED,
    END,
    ENDED,
    FIRST,
    IN_PROGRESS,
    JOB,
    RUNNING,
    SECOND,
    START,
    Story,
    event,
    operation,
)

Break = Callable[[Story], Any]
FAILED = {"status": "Failed", "startTimeUtc": START, "endTimeUtc": END}
ERROR = {"errorCode": "HandlerError", "message": "RuntimeError: attempt 1"}


def nothing_on_the_topic(story: Story) -> None:
    """The topic lost the job."""
    story.events.clear()


def unknown_at_last(story: Story) -> None:
    """A replica forgot the job."""
    story.operations.append(operation("poll", 20, code=404))


def two_finals_shown(story: Story) -> None:
    """A replica tells another end."""
    story.operations.append(operation("poll", 20, FAILED))


def the_final_s_time_moved(story: Story) -> None:
    """The same end, at another time."""
    moved = COMPLETED | {"endTimeUtc": "2026-01-01T00:00:10Z"}
    story.operations.append(operation("poll", 20, moved))


def final_twice_on_the_topic(story: Story) -> None:
    """Something follows the end."""
    story.events.append(event("failed", 7, "e6", **ENDED, status="Failed"))


def granted_twice(story: Story) -> None:
    """Two grants of one attempt apply."""
    again = event("started", 5, "e4", **RUNNING, attempt=2, executorId="executor-a")
    story.events[5:] = [again]


def run_twice(story: Story) -> None:
    """Another process ran the attempt, too."""
    story.journal.append(Line(JOB, 2, FIRST, 7.0, "started"))


def run_without_a_grant(story: Story) -> None:
    """A run of an attempt that nobody was granted."""
    story.journal.append(Line(JOB, 3, SECOND, 9.0, "started"))


def run_by_another(story: Story) -> None:
    """The attempt ran where it was not granted."""
    story.journal[1] = Line(JOB, 2, FIRST, 6.0, "started")


def progress_of_the_superseded(story: Story) -> None:
    """The first attempt's word was taken for the second's."""
    state = story.events[5]["data"]["state"]
    state["progress"] = {"message": "attempt 1"}


def error_of_the_superseded(story: Story) -> None:
    """The first attempt's error ended the second."""
    second = {"executorId": "executor-b", "error": ERROR, "failedAttempt": 2}
    story.events[6] = event("failed", 6, "e5", **ENDED, **second, status="Failed")


def end_by_another(story: Story) -> None:
    """The executor that lost the run ended it."""
    story.events[6]["data"]["state"]["executorId"] = "executor-a"


def attempt_changed(story: Story) -> None:
    """The attempt rose without a dispatch."""
    story.events[6]["data"]["state"]["attempt"] = 3


def never_ended(story: Story) -> None:
    """The end is missing."""
    del story.events[6:]


def gap(story: Story) -> None:
    """The log lost an event."""
    del story.events[4]


def no_event(story: Story) -> None:
    """A record that no reader can decode."""
    story.events.append({"type": "fabric.jobs.completed"})


def ended_as_no_handler_does(story: Story) -> None:
    """Its handler never fails."""
    story.events[6]["data"]["state"] |= {"status": "Failed"}


def cancelled_by_nobody(story: Story) -> None:
    """No client asked for it."""
    story.events[6]["data"]["state"] |= {"status": "Cancelled"}


def completed_without_a_return(story: Story) -> None:
    """The handler did not return."""
    del story.journal[2]


def completed_by_the_first_attempt(story: Story) -> None:
    """Only the superseded attempt's handler returned."""
    story.journal[2] = Line(JOB, 1, FIRST, 8.0, "returned")


def unseen_at_once(story: Story) -> None:
    """The other replica does not know it yet."""
    story.operations.insert(1, operation("poll", 0.02, code=404, replica=1))


def unseen_by_a_cancel(story: Story) -> None:
    """The other replica does not know it yet, when it is to be cancelled."""
    story.operations.insert(1, operation("cancel", 0.02, code=404, replica=1))


def back_to_running(story: Story) -> None:
    """A replica is behind, with the log in reach."""
    story.operations.append(operation("poll", 14, IN_PROGRESS))


def shown_what_never_was(story: Story) -> None:
    """A start that no event tells of."""
    story.operations[2] = operation("poll", 3, IN_PROGRESS | {"startTimeUtc": END})


def ran_though_cancelled(story: Story) -> None:
    """Cancelled before its start, as was said."""
    story.operations.append(operation("cancel", 1.5, {"status": "Cancelled", "endTimeUtc": END}))


def conflict(story: Story) -> None:
    """The same create is refused."""
    story.operations.insert(1, operation("create", 0.5, code=409))


def fault(story: Story) -> None:
    """An answer that is a bug."""
    story.operations.insert(1, operation("poll", 0.5, code=500))


BREACHES: dict[str, list[Break]] = {
    "lost": [nothing_on_the_topic, unknown_at_last],
    "doubly_final": [two_finals_shown, the_final_s_time_moved, final_twice_on_the_topic],
    "double_grants": [granted_twice, run_twice],
    "never_final": [never_ended],
    "ungranted": [run_without_a_grant, run_by_another],
    "superseded": [
        progress_of_the_superseded,
        error_of_the_superseded,
        end_by_another,
        attempt_changed,
    ],
    "forked": [gap, no_event],
    "wrong_ends": [ended_as_no_handler_does, cancelled_by_nobody],
    "without_run": [completed_without_a_return, completed_by_the_first_attempt],
    "not_linearizable": [
        unseen_at_once,
        unseen_by_a_cancel,
        back_to_running,
    ],
    "not_of_the_log": [shown_what_never_was],
    "ran_after_cancel": [ran_though_cancelled],
    "wrong_answers": [conflict, fault],
}


def test_validators_of_a_correct_run_find_no_breach() -> None:
    """A lost executor, a race, a second attempt and a superseded run are no breach."""
    assert validate(Story().evidence()) == {name: [] for name in VALIDATORS}


@pytest.mark.parametrize(
    ("name", "breach"),
    [(name, breach) for name, breaches in BREACHES.items() for breach in breaches],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_validator_finds_its_breach(name: str, breach: Break) -> None:
    """The validator reports the job that breaks its sentence."""
    story = Story()
    breach(story)

    assert validate(story.evidence())[name]


def test_each_validator_has_a_story_that_it_refuses() -> None:
    """A validator that can't fail proves nothing."""
    assert BREACHES.keys() == VALIDATORS.keys()


@pytest.mark.parametrize("excuse", ["log away", "waited in vain"])
def test_answer_that_may_be_old_is_counted_and_is_no_breach(excuse: str) -> None:
    """Its poll meets disturbed brokers, or waited for a second."""
    story = Story()
    match excuse:
        case "log away":
            story.operations.append(operation("poll", 14, IN_PROGRESS))
            story.log_away.append((13.9, 15))
        case "waited in vain":
            story.operations.append(operation("poll", 14, IN_PROGRESS, took=1.1))
    evidence = story.evidence()

    assert validate(evidence)["not_linearizable"] == []
    assert stale(evidence) == 1


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 9, False), (0, 10, True), (11, 12, True), (24, 26, True), (30, 31, True), (31, 39, False)],
)
def test_log_is_away_during_any_of_its_disturbances(
    start: float, end: float, expected: bool
) -> None:
    """Disturbances may overlap, and one may lie within another."""
    story = Story()
    story.log_away = [(20, 30), (10, 15), (22, 23), (40, 41)]

    assert story.evidence().is_log_away(start, end) is expected
