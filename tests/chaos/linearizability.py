"""Whether what the clients saw of a job can be explained by one job that changes at moments.

Each answered request took effect at one moment between its start and its end, and its answer fits
the state of the job at that moment. A search looks for such an order of moments, as Wing and Gong's
does. It knows Fabric's three operations, and nothing of the log or the fold.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.chaos.answers import may_be_stale
from tests.chaos.evidence import Evidence
from tests.chaos.history import FINAL, UNKNOWN, Operation

#: Answers that say something of the job; all others leave open whether the request took effect.
ANSWERS = {200, 202, 404}


class State(NamedTuple):
    """What Fabric could be told of a job; the status is empty before the job exists."""

    status: str = ""
    cancel_requested: bool = False


ABSENT = State()
CANCELLED = State("Cancelled")


class Unexplained(NamedTuple):
    """The answers that no order explains beyond those that some order does."""

    explained: int
    answers: list[Operation]


def not_linearizable(evidence: Evidence) -> Iterator[str]:
    """The answers about a job fit one job that changes at moments.

    An answer that is not final may be old while the replica can't read the log's end. Such answers
    are left out.
    """
    for job, operations in evidence.history.by_job.items():
        heard = [one for one in operations if not _may_be_old(evidence, one)]
        if found := find_unexplained(heard):
            seen = ", ".join(
                f"{one.what} {one.start:.3f} to {one.end:.3f} on replica {one.replica}: "
                f"{one.body or one.code}"
                for one in found.answers
            )
            yield f"{job}: no order explains more than {found.explained} answers; then {seen}"


def find_unexplained(operations: Sequence[Operation]) -> Unexplained | None:
    """None if some order of moments explains all answers. Otherwise, how far the best one came."""
    answered = sorted((one for one in operations if one.code in ANSWERS), key=lambda one: one.start)
    # A request without an answer may take effect at any time after its start, or never.
    open_starts: dict[str, float] = {}
    for one in operations:
        if one.code not in ANSWERS and one.what != "poll":
            open_starts[one.what] = min(one.start, open_starts.get(one.what, UNKNOWN))
    if not any(one.what == "create" for one in operations):
        open_starts["create"] = -UNKNOWN  # Another program created the job, at any time.
    everything = (1 << len(answered)) - 1
    pending, seen, best = [(0, ABSENT)], {(0, ABSENT)}, 0
    while pending:
        done, state = pending.pop()
        if done == everything:
            return None
        if done.bit_count() > best.bit_count():
            best = done
        for following in _next(answered, open_starts, done, state):
            if following not in seen:
                seen.add(following)
                pending.append(following)
    left = [one for number, one in enumerate(answered) if not best & 1 << number]
    return Unexplained(best.bit_count(), left[:3])


def _next(
    answered: Sequence[Operation], open_starts: dict[str, float], done: int, state: State
) -> Iterator[tuple[int, State]]:
    """What may happen next: a step of the job by itself, or the moment of a request."""
    left = [(number, one) for number, one in enumerate(answered) if not done & 1 << number]
    horizon = min((one.end for _, one in left), default=UNKNOWN)
    for after in _steps(state):
        yield done, after
    for what, start in open_starts.items():
        if start < horizon:
            for after in _create(state) if what == "create" else _cancel(state):
                yield done, after
    for number, one in left:
        # A request that started after another's end has its moment after the other's.
        if one.start <= horizon:
            for after in _take(one, state):
                yield done | 1 << number, after


def _steps(state: State) -> Iterator[State]:
    """What a job does without a request."""
    match state.status:
        case "NotStarted":
            yield State("InProgress")
            yield State("Failed")
        case "InProgress":
            yield State("Completed")
            yield State("Failed")
            if state.cancel_requested:
                yield CANCELLED


def _take(one: Operation, state: State) -> Iterator[State]:
    """The states behind the request that fit its answer."""
    if one.code == 404:
        if state == ABSENT:
            yield state
        return
    afters = {"create": _create, "cancel": _cancel, "poll": _poll}[one.what](state)
    for after in afters:
        if one.what == "create" or (one.shown and one.shown.status == after.status):
            yield after


def _create(state: State) -> Iterator[State]:
    yield State("NotStarted") if state == ABSENT else state


def _poll(state: State) -> Iterator[State]:
    if state != ABSENT:
        yield state


def _cancel(state: State) -> Iterator[State]:
    """A run is asked to stop; a job that waits, also for its next attempt, ends at once."""
    if state.status in FINAL:
        yield state
    elif state.status:
        yield CANCELLED
        if state.status == "InProgress":
            yield State("InProgress", cancel_requested=True)


def _may_be_old(evidence: Evidence, one: Operation) -> bool:
    final = one.shown is not None and one.shown.status in FINAL
    return one.what == "poll" and one.code == 200 and not final and may_be_stale(evidence, one)
