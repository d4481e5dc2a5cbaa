"""Validators of answers: no answer contradicts the log or an earlier answer.

Each validator yields one text for each breach.
"""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence
from tests.chaos.history import FINAL, Operation
from tests.chaos.model import ModelJob
from tests.chaos.traffic import UNDECIDED

RANKS = {"NotStarted": 0, "InProgress": 1} | dict.fromkeys(FINAL, 2)
#: Seconds that a read waits for the log's end before it answers what it has.
READ_TO_END_S = 1.0
#: The status codes that a valid request may get; `linearizability` judges each 404.
EXPECTED = {"create": {202}, "poll": {200, 404}, "cancel": {200, 404}}


def doubly_final(evidence: Evidence) -> Iterator[str]:
    """At most one final state applies to a job, and its answer never changes."""
    for job, found in evidence.model.jobs.items():
        for behind in found.behind_final:
            yield f"{job}: {behind} comes after {found.applied[-1].type}, which is final"
    for job, operations in evidence.history.by_job.items():
        bodies = {one.body for one in operations if one.shown and one.shown.status in FINAL}
        if len(bodies) > 1:
            yield f"{job}: has the final answers {' and '.join(sorted(bodies))}"


def stale(evidence: Evidence) -> int:
    """The number of answers that were behind an earlier one and may be."""
    return sum(may_be_stale(evidence, later) for later in _steps_back(evidence))


def _steps_back(evidence: Evidence) -> Iterator[Operation]:
    for operations in evidence.history.by_job.values():
        shown = [one for one in operations if one.shown]
        for later in shown:
            earlier = [one for one in shown if one.end < later.start]
            if _rank(later) < max(map(_rank, earlier), default=-1):
                yield later


def _rank(operation: Operation) -> int:
    return RANKS[operation.shown.status] if operation.shown else -1


def may_be_stale(evidence: Evidence, one: Operation) -> bool:
    """Whether the replica could not read the log's end while it made the answer."""
    waited_in_vain = one.end - one.start >= READ_TO_END_S
    return waited_in_vain or evidence.is_log_away(one.start, one.end)


def not_of_the_log(evidence: Evidence) -> Iterator[str]:
    """Each answer shows a state that the job had on the topic."""
    for job, operations in evidence.history.by_job.items():
        model = evidence.model.jobs.get(job, ModelJob(-1))
        had = {(one.status, one.start, one.end) for one in model.applied}
        for one in operations:
            shown = one.shown
            if shown and (shown.status, shown.start_time_utc, shown.end_time_utc) not in had:
                yield f"{job}: {one.what} was answered {one.body}, a state that the topic never had"


def ran_after_cancel(evidence: Evidence) -> Iterator[str]:
    """A job that was cancelled before its start never runs."""
    ran = {line.job for line in evidence.journal}
    for job in ran:
        for one in evidence.history.by_job.get(job, ()):
            shown = one.shown
            if shown and shown.status == "Cancelled" and not shown.start_time_utc:
                yield f"{job}: ran, although an answer was {one.body}"
                break


def wrong_answers(evidence: Evidence) -> Iterator[str]:
    """A valid request succeeds or is to be repeated; it gets no conflict and no fault."""
    for one in evidence.history.operations:
        if one.code not in EXPECTED[one.what] | UNDECIDED:
            yield f"{one.job}: {one.what} answered {one.code} by replica {one.replica}: {one.body}"
