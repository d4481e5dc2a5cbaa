"""The rule of the fold: which event applies, and the job after it."""

import pytest
from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract.events import Dispatch, Event, FailedData, encode
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.lifecycle import (
    Command,
    Job,
    Reason,
    Refusal,
    Undecidable,
    Verdict,
    decide,
    fold,
)
from tests.support.lifecycle import (
    PAYLOAD,
    TRACEPARENT,
    UNKNOWN_TYPE,
    WAYS,
    A,
    B,
    apply_event,
    cancel,
    claim,
    decide_event,
    drive,
    events_of,
    hand_back,
    job_in,
    lose_lease,
    report_completed,
    report_failed,
    request,
    retry,
    save_checkpoint,
    stamp,
    unknown_event,
)

KNOWN = [name for name in WAYS if name != "unknown"]
LIVING = [name for name in KNOWN if (job := job_in(name)) and not job.final]


def moved(event: Event, *, sequence: int, follows: str | None) -> Event:
    """The event with another sequence and another predecessor."""
    return replace(event, data=replace(event.data, sequence=sequence, follows=follows))


def test_fold_takes_the_state_of_the_next_event_as_it_is() -> None:
    """The fold never decides again: the state that the event carries becomes the job's."""
    job = drive(WAYS["running"])
    event = decide_event(job, report_completed(), stamp("e3"))
    odd = replace(event.data.state, attempt=41, phase=JobPhase.WAITING)
    after = apply_event(job, replace(event, data=replace(event.data, state=odd)))
    assert (after.state, after.sequence, after.event_id) == (odd, 3, "e3")
    assert (after.event_type, after.decidable) == ("fabric.jobs.completed", True)


def test_fold_keeps_the_last_dispatch_until_the_next_one() -> None:
    """Dispatch id and payload come from the dispatching event, and later events keep them."""
    job = drive(WAYS["waiting"])
    assert (job.dispatch_id, job.payload, job.traceparent) == ("e1", PAYLOAD, TRACEPARENT)
    assert drive([retry()], job).dispatch_id == "e4"


def test_fold_takes_the_payload_of_a_dispatch_byte_for_byte() -> None:
    """The payload has the bytes of the dispatching record, also its white space."""
    event = decide_event(None, request(), stamp("e1"))
    spaced = b'{ "kept" :  1.0 }'
    data = replace(event.data, dispatch=Dispatch(Raw(spaced)))
    assert apply_event(None, replace(event, data=data)).payload == spaced


def test_fold_keeps_the_definition_and_each_dispatch_carries_it() -> None:
    """A job without a definition has no such field in its events."""
    definition = b'{"parts": []}'
    with_definition = replace(request(), definition=definition)
    job = drive([with_definition, *WAYS["waiting"][1:]])
    again = decide_event(job, retry(), stamp("e4"))
    assert job.definition == drive([retry()], job).definition == definition
    assert again.data.dispatch == Dispatch(Raw(PAYLOAD), Raw(definition))

    without = decide_event(None, request(), stamp("e1"))
    assert without.data.dispatch == Dispatch(Raw(PAYLOAD))
    assert b"definition" not in encode(without)


@pytest.mark.parametrize("name", KNOWN)
def test_duplicate_event_is_lost(name: str) -> None:
    """Every earlier event of the job, folded again, leaves the job unchanged."""
    job, past = job_in(name), None
    assert job
    for place in range(len(WAYS[name])):
        command = WAYS[name][place]
        if isinstance(command, type(claim(1, A, ""))):
            assert past
            command = replace(command, dispatch_id=past.dispatch_id)
        event = decide_event(past, command, stamp(f"e{place + 1}", place + 1))
        past = apply_event(past, event)
        assert fold(job, event) == (Verdict.LOST, job)


@pytest.mark.parametrize("name", LIVING)
def test_second_of_two_events_decided_on_one_state_is_lost(name: str) -> None:
    """If two replicas decide at once, the log's first event applies; the second changes nothing."""
    job = job_in(name)
    assert job
    first, second = (_some_event(job, event_id) for event_id in ("x", "y"))
    after = apply_event(job, first)
    assert after.event_id == "x"
    assert fold(after, second) == (Verdict.LOST, after)


def _some_event(job: Job, event_id: str) -> Event:
    attempt, executor_id = job.state.attempt, job.state.executor_id or A
    match job.state.phase:
        case JobPhase.QUEUED:
            return decide_event(job, claim(attempt, B, job.dispatch_id), stamp(event_id))
        case JobPhase.WAITING:
            return decide_event(job, retry(attempt), stamp(event_id))
        case _:
            return decide_event(job, lose_lease(attempt, executor_id), stamp(event_id))


@pytest.mark.parametrize("name", LIVING)
def test_event_after_a_gap_is_forked(name: str) -> None:
    """A sequence that skips one shows that records are lost; the event changes nothing."""
    job = job_in(name)
    assert job
    event = _some_event(job, "x")
    for ahead in (2, 3, 1_000):
        gap = moved(event, sequence=job.sequence + ahead, follows=job.event_id)
        assert fold(job, gap) == (Verdict.FORKED, job)


@pytest.mark.parametrize("name", LIVING)
@pytest.mark.parametrize("follows", ["another", None, ""])
def test_event_with_another_predecessor_is_forked(name: str, follows: str | None) -> None:
    """The event was decided on a state that this log never had."""
    job = job_in(name)
    assert job
    event = moved(_some_event(job, "x"), sequence=job.sequence + 1, follows=follows)
    assert fold(job, event) == (Verdict.FORKED, job)


def test_unknown_job_begins_only_with_a_first_event_that_dispatches() -> None:
    """A later sequence, a predecessor, or no dispatch: none of these events creates a job."""
    first = decide_event(None, request(), stamp("e1"))
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
def test_event_after_a_final_event_changes_nothing(name: str) -> None:
    """An event with the next sequence is a fork; an event that raced the final one is lost."""
    job = job_in(name)
    assert job
    assert job.final
    late = decide_event(drive(WAYS["running"]), hand_back(), stamp("late"))
    next_one = moved(late, sequence=job.sequence + 1, follows=job.event_id)
    assert fold(job, next_one) == (Verdict.FORKED, job)
    lost = moved(late, sequence=job.sequence, follows="e1")
    assert fold(job, lost) == (Verdict.LOST, job)


@pytest.mark.parametrize("name", ["unknown", *LIVING])
def test_event_of_unknown_type_advances_the_job_and_makes_it_undecidable(name: str) -> None:
    """The job shows the state that the event carries; no command is decided on it here."""
    job = job_in(name)
    event = unknown_event(job)
    after = apply_event(job, event)
    assert after.state == event.data.state
    assert (after.sequence, after.event_type) == ((job.sequence if job else 0) + 1, UNKNOWN_TYPE)
    for command in (
        request(),
        claim(1, A, after.dispatch_id),
        cancel(),
        report_completed(),
        retry(),
    ):
        assert decide(after, command, stamp()) == Undecidable(after)


def test_known_event_after_unknown_one_makes_the_job_decidable() -> None:
    """Only the type of the last event counts."""
    job = drive(WAYS["running"])
    paused = apply_event(job, unknown_event(job))
    resumed = decide_event(replace(paused, decidable=True), report_completed(), stamp("e4"))
    after = apply_event(paused, resumed)
    assert (after.decidable, after.sequence) == (True, 4)


def test_event_of_unknown_type_is_lost_or_forked_like_a_known_one() -> None:
    """Its duplicates are lost; a gap or a wrong predecessor is a fork."""
    job = drive(WAYS["running"])
    event = unknown_event(job)
    after = apply_event(job, event)
    assert fold(after, event) == (Verdict.LOST, after)
    gap = moved(event, sequence=9, follows=job.event_id)
    fork = moved(event, sequence=3, follows="e1")
    assert [fold(job, wrong)[0] for wrong in (gap, fork)] == [Verdict.FORKED] * 2


def test_checkpoint_is_carried_by_the_next_dispatch_until_the_job_is_final() -> None:
    """The next attempt gets it, an attempt that saves none keeps it, and a final job has none."""
    commands: list[Command] = [
        request(),
        claim(1, A, "e1"),
        save_checkpoint(),
        report_failed(),
        retry(),
    ]
    events = events_of(commands)
    job = drive(commands)
    second = drive([claim(2, A, "e5"), report_failed(2), retry(2)], job)

    carried = events[-1].data.dispatch
    assert carried is not UNSET
    assert carried.checkpoint is not UNSET
    assert bytes(carried.checkpoint) == b'{"row":7}'
    assert job.checkpoint == second.checkpoint == b'{"row":7}'
    assert drive([claim(3, A, "e8"), report_completed(3)], second).checkpoint is None


def test_checkpoint_of_a_superseded_attempt_is_refused() -> None:
    """Attempt 2 was dispatched, so the holder of attempt 1 can't replace what attempt 2 gets."""
    job = drive([request(), claim(1, A, "e1"), hand_back()])

    decision = decide(job, save_checkpoint(1, A), stamp())

    assert decision == Refusal(Reason.SUPERSEDED, conclusive=True)


def test_log_lines_of_the_last_failure_are_kept_until_the_job_completes() -> None:
    """They are in the failure's event, and never in the state that Fabric is told."""
    failed = replace(report_failed(), log_tail="x" * 10_000)
    commands: list[Command] = [request(), claim(1, A, "e1"), failed]
    event = events_of(commands)[-1]
    waiting = drive(commands)
    again = drive([retry(), claim(2, A, "e4")], waiting)
    done = drive([report_completed(2)], again)

    assert isinstance(event.data, FailedData)
    assert again.log_tail == waiting.log_tail
    assert event.data.log_tail == waiting.log_tail
    assert len(waiting.log_tail) == 8190
    assert "xxx" not in str(waiting.state)
    assert done.log_tail == ""


def test_event_without_trace_context_leaves_the_jobs_as_it_is() -> None:
    """A later version may append events of its own without one."""
    job = drive(WAYS["running"])

    assert apply_event(job, replace(unknown_event(job), traceparent=UNSET)).traceparent == (
        TRACEPARENT
    )
