"""Which events of a job's history count."""

from fabric_jobs.runtime.kafka.history import NumberedJob
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


def test_event_that_is_not_the_next_of_its_job_does_not_count() -> None:
    """Each event counts once and in order; a duplicate, a gap and the loser of a race do not."""
    events = events_of((request(), claim(1, A, "e1"), report_progress(), report_completed()))
    loser = decide_event(drive([request()]), cancel(), stamp("loser"))
    job = NumberedJob()

    assert not job.takes(events[1])
    for event in events:
        assert job.takes(event)
        assert not job.takes(events[0])
        assert not job.takes(event)
        assert job.sequence == 1 or not job.takes(loser)
    assert job.sequence == len(events)


def test_event_after_the_final_one_does_not_count() -> None:
    """The event has the next number, but its job has ended."""
    job = NumberedJob()
    assert job.takes(decide_event(None, request(), stamp("e1")))
    assert job.takes(decide_event(drive([request()]), cancel(), stamp("e2")))

    assert not job.takes(unknown_event(drive([request(), cancel()])))
    assert job.sequence == 2
