"""The monitor's readings of a job's events, on both kinds of broker."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor import timeline as timeline_module
from fabric_jobs.facade.monitor.timeline import WAITING_NOTE, HistoryReader, Timeline
from fabric_jobs.facade.replica import StoredJob
from tests.support.brokers import Cluster
from tests.support.lifecycle import (
    A,
    apply_event,
    cancel,
    claim,
    decide_event,
    report_completed,
    report_progress,
    request,
    stamp,
)
from tests.support.log_kit import RecordingReader, kafka_settings, open_log
from tests.support.sealing import NO_SEALING

REVEAL = NO_SEALING.reveal_event
OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


@dataclass
class Story:
    """The events of a job, the loser of a race among them, and records of another job around."""

    events: list[KnownEvent] = field(default_factory=list)
    job: Job | None = None

    def __post_init__(self) -> None:
        for command in (request(), claim(1, A, "e1"), report_progress(), report_completed()):
            number = len(self.events) + 1
            self.events.append(decide_event(self.job, command, stamp(f"e{number}", number)))
            self.job = apply_event(self.job, self.events[-1])

    async def write(self, cluster: Cluster, topic: str) -> StoredJob:
        """Appends the events to the topic. Returns the job as a replica stores it then."""
        loser = decide_event(apply_event(None, self.events[0]), cancel(), stamp("loser", 2))
        other = decide_event(None, request(OTHER), stamp("other"))
        written = [other, self.events[0], other, self.events[1], loser, other, *self.events[2:]]
        async with open_log(cluster, topic, RecordingReader()) as log:
            for event in (*written, other):
                await (await log.append(0, event.subject.encode(), events.encode(event), []))
        assert self.job
        return StoredJob(self.job, 0, len(written) - 1, 0)


async def test_history_reader_skips_records_that_the_facade_refuses(
    cluster: Cluster, topic: str
) -> None:
    """An event without the code that the facade requires is shown nowhere."""
    stored = await Story().write(cluster, topic)
    timeline = Timeline()
    reader = HistoryReader(
        kafka_settings(cluster, topic), REVEAL, lambda record: record.offset != 6
    )
    await reader.read(stored, timeline)

    assert [row.kind for row in timeline.rows] == ["requested", "started"]


async def test_history_reader_fills_the_timeline_with_the_applied_events(
    cluster: Cluster, topic: str
) -> None:
    """The note shows the progress of the reading."""
    stored = await Story().write(cluster, topic)
    reader, timeline = (
        HistoryReader(kafka_settings(cluster, topic), REVEAL),
        Timeline(),
    )
    notes = list[str]()
    await reader.read(stored, timeline, lambda: notes.append(timeline.note))

    assert [row.kind for row in timeline.rows] == [
        "requested",
        "started",
        "progressed",
        "completed",
    ]
    assert timeline.note == ""
    assert notes[0] == "Reading the log."
    assert any(note.startswith("Reading the log: ") for note in notes)


async def test_history_reader_with_two_readings_runs_the_second_after_the_first(
    embedded: Cluster, topic: str
) -> None:
    """The waiting timeline has a note that says so."""
    stored = await Story().write(embedded, topic)
    reader = HistoryReader(kafka_settings(embedded, topic), REVEAL)
    first, second = Timeline(), Timeline()
    seen, notes = list[tuple[bool, bool]](), set[str]()

    def look() -> None:
        seen.append((bool(first.rows), bool(second.rows)))
        notes.add(second.note)

    await asyncio.gather(reader.read(stored, first, look), reader.read(stored, second, look))

    assert first.rows == second.rows
    assert (False, True) not in seen
    assert WAITING_NOTE in notes


async def test_history_reader_at_its_bound_of_records_stops_with_a_note(
    embedded: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeline has the events up to there."""
    stored = await Story().write(embedded, topic)
    monkeypatch.setattr("fabric_jobs.runtime.kafka.history.MAX_BATCH_RECORDS", 2)
    monkeypatch.setattr(timeline_module, "MAX_RECORDS", 4)
    timeline = Timeline()
    await HistoryReader(kafka_settings(embedded, topic), REVEAL).read(stored, timeline)

    assert [row.kind for row in timeline.rows] == ["requested", "started"]
    assert timeline.note == (
        "Reading stopped after 0 s and 4 records, at event 2 of 4. `fabric-jobs jobs events` shows "
        "all of them."
    )


async def test_history_reader_of_a_topic_without_the_job_sets_a_note(
    embedded: Cluster, topic: str
) -> None:
    """The topic ends before the job's last event, or no longer has the first."""
    stored = await Story().write(embedded, topic)
    reader = HistoryReader(kafka_settings(embedded, topic), REVEAL)
    beyond, later = Timeline(), Timeline()
    await reader.read(replace(stored, offset=1_000), beyond)
    assert "It may have been created again." in beyond.note
    event = decide_event(None, request("2f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"), stamp("y"))
    await reader.read(replace(stored, job=apply_event(None, event)), later)

    assert later.note == "The topic no longer holds the job's first events."
    assert beyond.rows == later.rows == ()
