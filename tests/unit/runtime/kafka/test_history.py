"""Which events of a job's history apply."""

from fabric_jobs.runtime.kafka.history import JobSequence
from tests.support.lifecycle import (
    A,
    cancel,
    claim,
    decide_event,
    drive,
    events_of,
    report_completed,
    report_progress,
    request,
    stamp,
    unknown_event,
)
from tests.support.records import events_of_forked_log


def test_job_sequence_accepts_each_event_once_and_in_order() -> None:
    """It does not accept a duplicate, an event after a gap, or the loser of a race."""
    events = events_of((request(), claim(1, A, "e1"), report_progress(), report_completed()))
    loser = decide_event(drive([request()]), cancel(), stamp("loser"))
    sequence = JobSequence()

    assert not sequence.accept(events[1])
    for event in events:
        assert sequence.accept(event)
        assert not sequence.accept(events[0])
        assert not sequence.accept(event)
        assert sequence.sequence == 1 or not sequence.accept(loser)
    assert sequence.sequence == len(events)


def test_job_sequence_after_the_final_event_accepts_none() -> None:
    """The refused event has the next sequence, but the job is final."""
    sequence = JobSequence()
    assert sequence.accept(decide_event(None, request(), stamp("e1")))
    assert sequence.accept(decide_event(drive([request()]), cancel(), stamp("e2")))

    assert not sequence.accept(unknown_event(drive([request(), cancel()])))
    assert sequence.sequence == 2


def test_job_sequence_does_not_accept_an_event_that_follows_a_lost_one() -> None:
    """A facade that has read a lost record may append, late, what it decided on that record."""
    sequence = JobSequence()

    accepted = [event.id for event in events_of_forked_log() if sequence.accept(event)]
    assert accepted == ["e1", "e2", "kept", "failed"]
