"""A job's events in rows, and the times in them."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.events import Event
from fabric_jobs.executor.errors import HANDLER_ERROR, PAYLOAD_INVALID
from fabric_jobs.facade.monitor.advice import OF_CODE, advice
from fabric_jobs.facade.monitor.formatting import duration, elapsed, instant, short_time
from fabric_jobs.facade.monitor.timeline import MAX_ROWS, Timeline
from tests.support.lifecycle import (
    A,
    apply_event,
    claim,
    decide_event,
    drive,
    events_of,
    failure,
    hand_back,
    report_completed,
    report_failed,
    report_progress,
    request,
    retry,
    stamp,
    unknown_event,
)


def story() -> list[Event]:
    """A job that failed once, was handed back, and completed, with progress all along."""
    return events_of(
        (
            request(),
            claim(1, A, "e1"),
            report_progress(fraction=0.1),
            report_progress(fraction=0.2),
            report_progress(fraction=0.3),
            report_failed(),
            retry(),
            claim(2, A, "e7"),
            hand_back(2),
            claim(3, A, "e9"),
            report_completed(3),
        )
    )


def test_progress_in_a_row_is_one_row() -> None:
    """With the last of it; every other event has a row of its own, whoever tells it twice."""
    timeline = Timeline()
    for event in story():
        timeline.add(event)
        timeline.add(event)
    rows = timeline.rows

    assert [(row.first, row.last, row.kind) for row in rows] == [
        (1, 1, "requested"),
        (2, 2, "started"),
        (3, 5, "progressed"),
        (6, 6, "attempt-failed"),
        (7, 7, "requeued"),
        (8, 8, "started"),
        (9, 9, "requeued"),
        (10, 10, "started"),
        (11, 11, "completed"),
    ]
    assert rows[2].state.progress
    assert rows[2].state.progress.fraction == 0.3
    assert (rows[3].error, rows[3].traceback) == (failure(), None)
    assert [rows[4].reason, rows[6].reason] == ["RetryDue", "HandedBack"]
    assert rows[-1].error is None


def test_a_failure_s_row_has_the_traceback() -> None:
    """Of an attempt as of the last, where the handler raised."""
    job = drive([request(), claim(1, A, "e1")])
    raised = replace(report_failed(), traceback="Traceback: here")
    permanent = replace(raised, error=failure(permanent=True))
    timeline = Timeline()
    for number, command in ((3, raised), (4, permanent)):
        timeline.add(decide_event(replace(job, sequence=number - 1), command, stamp(f"e{number}")))

    assert [(row.kind, row.traceback) for row in timeline.rows] == [
        ("attempt-failed", "Traceback: here"),
        ("failed", "Traceback: here"),
    ]


def test_what_was_not_read_is_left_out_and_not_made_up() -> None:
    """Its numbers are missing, also between two events of progress; nothing goes back.

    The first gap is told of, and told how to be filled.
    """
    events = story()
    timeline = Timeline()
    for event in (events[0], events[2], events[4], events[3]):
        timeline.add(event)

    assert [(row.first, row.last) for row in timeline.rows] == [(1, 1), (3, 3), (5, 5)]
    assert timeline.note == "What came between events 1 and 3 was not read: reload the page."


def test_a_timeline_has_an_end() -> None:
    """The last rows are kept."""
    timeline = Timeline()
    job = None
    for number in range(1, MAX_ROWS + 11):
        event = unknown_event(job, f"e{number}") if job else story()[0]
        job = apply_event(job, event)
        timeline.add(event)

    assert len(timeline.rows) == MAX_ROWS
    assert (timeline.rows[0].first, timeline.rows[-1].first) == (11, MAX_ROWS + 10)
    assert timeline.rows[-1].kind == "paused"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    """It never runs backwards."""
    assert duration(seconds) == text


def test_what_is_over_is_measured_and_what_runs_counts_on() -> None:
    """The browser is told since when."""
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert elapsed(since, since + timedelta(milliseconds=440)) == "0.4 s"
    assert elapsed(since, since + timedelta(seconds=61)) == "1 min 1 s"
    assert elapsed(since).startswith('<span data-since="2026-01-01T12:00:00.000Z">')


def test_a_time_says_its_day_where_that_is_not_today() -> None:
    """To the second; the machine's form is exact."""
    now = datetime.now(UTC).replace(hour=7, minute=8, second=9, microsecond=123_456)

    assert ">07:08:09</time>" in short_time(now)
    assert f"{now:%Y-%m-%dT}07:08:09.123Z" in short_time(now)
    assert short_time(now - timedelta(days=1)) == instant(now - timedelta(days=1))
    assert ">2026-01-01 00:00:00</time>" in instant(datetime(2026, 1, 1, tzinfo=UTC))


def test_there_is_advice_for_every_error() -> None:
    """Of ours by its code; of any other by whose fault it is."""
    assert {HANDLER_ERROR, PAYLOAD_INVALID} < OF_CODE.keys()
    assert advice(failure("RunTimedOut")) == OF_CODE["RunTimedOut"]
    assert advice(failure("Anything")) == "Look at the service that the handler called."
