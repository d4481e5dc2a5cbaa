"""The timeline of a job, and the readings of the log that fill it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.events import Event
from fabric_jobs.facade.monitor import timeline as timeline_module
from fabric_jobs.facade.monitor.timeline import (
    LEFT_OUT,
    MAX_ROWS,
    MAX_TRACEBACKS_CHARS,
    WAITING_NOTE,
    HistoryReader,
    Timeline,
    row_of,
)
from fabric_jobs.runtime.kafka.history import EventBatch
from fabric_jobs.runtime.settings import KafkaSettings
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
    save_checkpoint,
    stamp,
    unknown_event,
)
from tests.support.monitor import FoldedJobs, browser_client, make_monitor


def story() -> list[Event]:
    """Returns the events of a job that failed once, was handed back once, and completed."""
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


def test_timeline_with_consecutive_progress_shows_one_row_for_it() -> None:
    """The row has the last progress. Every other event has one row, even if it is added twice."""
    timeline = Timeline()
    for event in story():
        timeline.add(row_of(event))
        timeline.add(row_of(event))
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


def test_timeline_row_of_a_failure_has_the_traceback_and_the_log_lines() -> None:
    """Both a failed attempt and a failed job show it."""
    job = drive([request(), claim(1, A, "e1")])
    raised = replace(report_failed(), traceback="Traceback: here", log_tail="row 7\n")
    permanent = replace(raised, error=failure(permanent=True))
    timeline = Timeline()
    for number, command in ((3, raised), (4, permanent)):
        event = decide_event(replace(job, sequence=number - 1), command, stamp(f"e{number}"))
        timeline.add(row_of(event))

    assert [(row.kind, row.traceback, row.log_tail) for row in timeline.rows] == [
        ("attempt-failed", "Traceback: here", "row 7\n"),
        ("failed", "Traceback: here", "row 7\n"),
    ]


def test_timeline_with_more_tracebacks_than_its_bound_keeps_the_latest() -> None:
    """A page with hundreds of failed attempts stays small."""
    job = drive([request(), claim(1, A, "e1")])
    raised = replace(report_failed(), traceback="x" * 8000)
    timeline = Timeline()
    for number in range(3, 103):
        event = decide_event(replace(job, sequence=number - 1), raised, stamp(f"e{number}"))
        timeline.add(row_of(event))
    shown = [row.traceback for row in timeline.rows]

    assert shown == [LEFT_OUT] * 92 + ["x" * 8000] * 8
    assert MAX_TRACEBACKS_CHARS // 8000 == 8


def test_timeline_row_of_checkpoints_has_the_size_of_the_last() -> None:
    """Consecutive checkpoints join to one row. The value itself is not shown."""
    timeline = Timeline()
    saved = [save_checkpoint(checkpoint=b"1"), save_checkpoint(checkpoint=b"12345")]
    for event in events_of([request(), claim(1, A, "e1"), *saved]):
        timeline.add(row_of(event))

    row = timeline.rows[-1]
    assert (row.first, row.last, row.kind, row.checkpoint_bytes) == (3, 4, "checkpointed", 5)


def test_timeline_with_a_gap_leaves_the_missing_events_out_and_has_a_note() -> None:
    """Rows of progress do not join over a gap, and an older event is ignored.

    The note names the first gap.
    """
    events = story()
    timeline = Timeline()
    for event in (events[0], events[2], events[4], events[3]):
        timeline.add(row_of(event))

    assert [(row.first, row.last) for row in timeline.rows] == [(1, 1), (3, 3), (5, 5)]
    assert timeline.note == "The events between 1 and 3 were not read. Reload the page."


def test_timeline_with_more_rows_than_its_bound_keeps_the_last() -> None:
    """An event of an unknown type has a row too."""
    timeline = Timeline()
    job = None
    for number in range(1, MAX_ROWS + 11):
        event = unknown_event(job, f"e{number}") if job else story()[0]
        job = apply_event(job, event)
        timeline.add(row_of(event))

    assert len(timeline.rows) == MAX_ROWS
    assert (timeline.rows[0].first, timeline.rows[-1].first) == (11, MAX_ROWS + 10)
    assert timeline.rows[-1].kind == "paused"


class StalledHistory:
    """Stands for `read_history`: it yields an empty batch after `finish` was set."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.finish = asyncio.Event()

    async def __call__(self, *_: Any) -> AsyncIterator[EventBatch]:
        self.started.set()
        await self.finish.wait()
        yield EventBatch(0, [])


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> StalledHistory:
    """Replaces the reading of the log."""
    stalled = StalledHistory()
    monkeypatch.setattr(timeline_module, "read_history", stalled)
    return stalled


async def test_history_reading_that_takes_too_long_is_cancelled(
    stalled: StalledHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next reading can start after it."""
    monkeypatch.setattr(timeline_module, "READ_TIMEOUT_S", 0.01)
    fold = FoldedJobs()
    path = f"/monitor/jobs/{fold.create()}/events"
    async with browser_client(make_monitor(fold)[1]) as client:
        for _ in range(2):
            assert "Kafka did not answer (TimeoutError)" in (await client.get(path)).text


async def test_history_reading_during_another_one_is_refused_with_a_note(
    stalled: StalledHistory,
) -> None:
    """The page does not wait for the other reading."""
    fold = FoldedJobs()
    path = f"/monitor/jobs/{fold.create()}/events"
    async with browser_client(make_monitor(fold)[1]) as client:
        first = asyncio.create_task(client.get(path))
        await stalled.started.wait()
        assert WAITING_NOTE in (await client.get(path)).text
        stalled.finish.set()
        assert WAITING_NOTE not in (await first).text


async def test_history_reading_that_fails_unexpectedly_leaves_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A live page goes on, and would say for ever that the log is being read."""

    async def fail(*_: Any) -> AsyncIterator[EventBatch]:
        raise RuntimeError
        yield

    monkeypatch.setattr(timeline_module, "read_history", fail)
    fold, timeline = FoldedJobs(), Timeline()
    stored = fold.replica.get(fold.create())
    assert stored
    reader = HistoryReader(KafkaSettings(), lambda event: event)
    with pytest.raises(RuntimeError):
        await reader.read(stored, timeline)

    assert timeline.note == "Reading failed. The service's log has the details."
