"""A job's events, read from the topic for the monitor."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor import timeline as module
from fabric_jobs.facade.monitor.timeline import WAITS, Histories, Timeline
from fabric_jobs.facade.replica import StoredJob
from tests.conftest import Cluster
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

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


@dataclass
class Story:
    """A job's events, with a loser among them, and records of another job all around."""

    events: list[KnownEvent] = field(default_factory=list)
    job: Job | None = None

    def __post_init__(self) -> None:
        for command in (request(), claim(1, A, "e1"), report_progress(), report_completed()):
            number = len(self.events) + 1
            self.events.append(decide_event(self.job, command, stamp(f"e{number}", number)))
            self.job = apply_event(self.job, self.events[-1])

    async def write(self, cluster: Cluster, topic: str) -> StoredJob:
        """Puts it on the topic; the job as a replica has it then."""
        loser = decide_event(apply_event(None, self.events[0]), cancel(), stamp("loser", 2))
        noise = decide_event(None, request(OTHER), stamp("other"))
        found = [noise, self.events[0], noise, self.events[1], loser, noise, *self.events[2:]]
        async with open_log(cluster, topic, RecordingReader()) as log:
            for event in (*found, noise):
                await (await log.append(0, event.subject.encode(), events.encode(event), []))
        assert self.job
        return StoredJob(self.job, 0, len(found) - 1, 0)


async def test_the_events_that_made_the_job_are_in_its_timeline(
    cluster: Cluster, topic: str
) -> None:
    """On either broker; who watches is told meanwhile."""
    entry = await Story().write(cluster, topic)
    histories, timeline = Histories(kafka_settings(cluster, topic)), Timeline()
    notes = list[str]()
    await histories.read(entry, timeline, lambda: notes.append(timeline.note))

    assert [row.kind for row in timeline.rows] == [
        "requested",
        "started",
        "progressed",
        "completed",
    ]
    assert timeline.note == ""
    assert notes[0] == "Reading the log."
    assert any(note.startswith("Reading the log: ") for note in notes)


async def test_readings_are_one_at_a_time(embedded: Cluster, topic: str) -> None:
    """The second begins when the first is done."""
    entry = await Story().write(embedded, topic)
    histories = Histories(kafka_settings(embedded, topic))
    first, second = Timeline(), Timeline()
    told, notes = list[tuple[bool, bool]](), set[str]()

    def look() -> None:
        told.append((bool(first.rows), bool(second.rows)))
        notes.add(second.note)

    await asyncio.gather(histories.read(entry, first, look), histories.read(entry, second, look))

    assert first.rows == second.rows
    assert (False, True) not in told
    assert WAITS in notes


async def test_a_reading_has_an_end_and_says_where_it_was(
    embedded: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many records: what was read till then is there."""
    entry = await Story().write(embedded, topic)
    monkeypatch.setattr("fabric_jobs.runtime.kafka.history.BATCH", 2)
    monkeypatch.setattr(module, "MAX_RECORDS", 4)
    timeline = Timeline()
    await Histories(kafka_settings(embedded, topic)).read(entry, timeline)

    assert [row.kind for row in timeline.rows] == ["requested", "started"]
    assert timeline.note == (
        "Stopped after 0 s and 4 records, at event 2 of 4: `fabric-jobs jobs events` reads on."
    )


async def test_what_the_log_does_not_have_is_said(embedded: Cluster, topic: str) -> None:
    """A topic that ends before the job, and one without its beginning."""
    entry = await Story().write(embedded, topic)
    reading = Histories(kafka_settings(embedded, topic))
    beyond, later = Timeline(), Timeline()
    await reading.read(replace(entry, offset=1_000), beyond)
    assert "was it made anew?" in beyond.note
    stranger = replace(entry, job=apply_event(None, decide_event(None, request(OTHER), stamp("x"))))
    job = decide_event(None, request("2f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"), stamp("y"))
    await reading.read(replace(stranger, job=apply_event(None, job)), later)

    assert later.note == "The topic no longer holds the job's first events."
    assert beyond.rows == later.rows == ()
