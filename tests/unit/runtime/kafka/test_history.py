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
