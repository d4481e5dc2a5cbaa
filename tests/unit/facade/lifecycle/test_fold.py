"""The rule of the fold: which event applies, and what it leaves."""

import pytest
from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract.events import Dispatch, Event
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import Job, Undecidable, Verdict, decide, fold
from tests.support.lifecycle import (
    PAYLOAD,
    TRACEPARENT,
    UNKNOWN_TYPE,
    WAYS,
    A,
    B,
    applied,
    cancel,
    claim,
    completed,
    decided,
    driven,
    hand_back,
    job_in,
    lose_lease,
    request,
    retry,
    stamp,
    unknown_event,
)

KNOWN = [name for name in WAYS if name != "unknown"]
LIVING = [name for name in KNOWN if (job := job_in(name)) and not job.final]


def moved(event: Event, *, sequence: int, follows: str | None) -> Event:
    """The same event, elsewhere in the job's log."""
    return replace(event, data=replace(event.data, sequence=sequence, follows=follows))


def test_the_next_event_applies_and_its_state_is_taken_as_it_is() -> None:
    """The fold never decides again: whatever state the event carries is the job's."""
    job = driven(WAYS["running"])
    event = decided(job, completed(), stamp("e3"))
    odd = replace(event.data.state, attempt=41, phase=JobPhase.WAITING)
    after = applied(job, replace(event, data=replace(event.data, state=odd)))
    assert (after.state, after.sequence, after.event_id) == (odd, 3, "e3")
    assert (after.event_type, after.decidable) == ("fabric.jobs.completed", True)


def test_what_was_dispatched_last_stays_until_the_next_dispatch() -> None:
    """Dispatch id and payload come from the dispatching event, and later ones keep them."""
    job = driven(WAYS["waiting"])
    assert (job.dispatch_id, job.payload, job.traceparent) == ("e1", PAYLOAD, TRACEPARENT)
    assert driven([retry()], job).dispatch_id == "e4"


def test_a_dispatching_event_brings_its_own_payload() -> None:
    """The payload is the one that the dispatching record carried, byte for byte."""
    event = decided(None, request(), stamp("e1"))
    spaced = b'{ "kept" :  1.0 }'
    data = replace(event.data, dispatch=Dispatch(Raw(spaced)))
    assert applied(None, replace(event, data=data)).payload == spaced


@pytest.mark.parametrize("name", KNOWN)
def test_a_duplicate_is_lost(name: str) -> None:
    """Every event of the job's past, delivered again, leaves the very same job."""
    job, past = job_in(name), None
    assert job
    for place in range(len(WAYS[name])):
        command = WAYS[name][place]
        if isinstance(command, type(claim(1, A, ""))):
            assert past
            command = replace(command, dispatch_id=past.dispatch_id)
        event = decided(past, command, stamp(f"e{place + 1}", place + 1))
        past = applied(past, event)
        assert fold(job, event) == (Verdict.LOST, job)


@pytest.mark.parametrize("name", LIVING)
def test_the_second_of_two_events_decided_on_one_state_is_lost(name: str) -> None:
    """Two replicas decide at once; the log's first applies, the other leaves no trace."""
    job = job_in(name)
    assert job
    first, second = (_some_event(job, event_id) for event_id in ("x", "y"))
    after = applied(job, first)
    assert after.event_id == "x"
    assert fold(after, second) == (Verdict.LOST, after)


def _some_event(job: Job, event_id: str) -> Event:
    attempt, executor_id = job.state.attempt, job.state.executor_id or A
    match job.state.phase:
        case JobPhase.QUEUED:
            return decided(job, claim(attempt, B, job.dispatch_id), stamp(event_id))
        case JobPhase.WAITING:
            return decided(job, retry(attempt), stamp(event_id))
        case _:
            return decided(job, lose_lease(attempt, executor_id), stamp(event_id))


@pytest.mark.parametrize("name", LIVING)
def test_a_gap_is_forked(name: str) -> None:
    """A sequence that skips one means lost records: the event has no effect, but is told apart."""
    job = job_in(name)
    assert job
    event = _some_event(job, "x")
    for ahead in (2, 3, 1_000):
        gap = moved(event, sequence=job.sequence + ahead, follows=job.event_id)
        assert fold(job, gap) == (Verdict.FORKED, job)


@pytest.mark.parametrize("name", LIVING)
@pytest.mark.parametrize("follows", ["another", None, ""])
def test_an_event_that_follows_another_one_is_forked(name: str, follows: str | None) -> None:
    """Right sequence, wrong predecessor: it was decided on a state that this log never had."""
    job = job_in(name)
    assert job
    event = moved(_some_event(job, "x"), sequence=job.sequence + 1, follows=follows)
    assert fold(job, event) == (Verdict.FORKED, job)


def test_an_unknown_job_takes_nothing_but_a_first_event_that_dispatches() -> None:
    """A later sequence, a predecessor, or nothing to run: no job comes of it."""
    first = decided(None, request(), stamp("e1"))
    bare = replace(first, data=replace(first.data, dispatch=UNSET))
    for event in (
        moved(first, sequence=2, follows=None),
        moved(first, sequence=1, follows="e0"),
        bare,
    ):
        assert fold(None, event) == (Verdict.FORKED, None)
    for sequence in (0, -1):
        event = moved(first, sequence=sequence, follows=None)
        assert fold(None, event) == (Verdict.LOST, None)


@pytest.mark.parametrize("name", ["completed", "failed", "stopped", "cancelled"])
def test_nothing_follows_a_final_event(name: str) -> None:
    """The next sequence after the final one is a fork; what lost the race against it is lost."""
    job = job_in(name)
    assert job
    assert job.final
    late = decided(driven(WAYS["running"]), hand_back(), stamp("late"))
    next_one = moved(late, sequence=job.sequence + 1, follows=job.event_id)
    assert fold(job, next_one) == (Verdict.FORKED, job)
    lost = moved(late, sequence=job.sequence, follows="e1")
    assert fold(job, lost) == (Verdict.LOST, job)


@pytest.mark.parametrize("name", ["unknown", *LIVING])
def test_an_event_of_an_unknown_type_advances_the_job_and_makes_it_undecidable(name: str) -> None:
    """The job is shown with the state it carries; no command is decided on it here."""
    job = job_in(name)
    event = unknown_event(job)
    after = applied(job, event)
    assert after.state == event.data.state
    assert (after.sequence, after.event_type) == ((job.sequence if job else 0) + 1, UNKNOWN_TYPE)
    for command in (request(), claim(1, A, after.dispatch_id), cancel(), completed(), retry()):
        assert decide(after, command, stamp()) == Undecidable(after)


def test_a_known_event_after_an_unknown_one_makes_the_job_decidable_again() -> None:
    """Only the last event's type counts."""
    job = driven(WAYS["running"])
    paused = applied(job, unknown_event(job))
    resumed = decided(replace(paused, decidable=True), completed(), stamp("e4"))
    after = applied(paused, resumed)
    assert (after.decidable, after.sequence) == (True, 4)


def test_an_unknown_type_obeys_the_same_rule() -> None:
    """Its duplicates are lost, its gaps and wrong predecessors are forks."""
    job = driven(WAYS["running"])
    event = unknown_event(job)
    after = applied(job, event)
    assert fold(after, event) == (Verdict.LOST, after)
    gap = moved(event, sequence=9, follows=job.event_id)
    fork = moved(event, sequence=3, follows="e1")
    assert [fold(job, wrong)[0] for wrong in (gap, fork)] == [Verdict.FORKED] * 2
