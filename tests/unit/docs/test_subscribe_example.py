"""examples/subscribe.py prints what a replica applies, whatever the topic holds."""

import contextlib
import io
import json
import runpy
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.facade import lifecycle
from fabric_jobs.facade.lifecycle import Command, Job, JobLifetime
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Change, Identity, Replica, Store
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.support.lifecycle import (
    JOB,
    A,
    B,
    apply_event,
    cancel,
    claim,
    events_of,
    hand_back,
    report_completed,
    report_failed,
    report_progress,
    request,
    retry,
    stamp,
)
from tests.support.paths import ROOT
from tests.support.records import events_of_forked_log, record_of
from tests.support.strategies import examples

PARTITIONS = 2
#: Jobs of partition 0 and of partition 1.
JOBS = (JOB, "2f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5")
DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
#: The time of the records, in milliseconds since 1970.
NOW_MS = 20_500 * DAY_MS


class FakeConsumer:
    """Stands for aiokafka's consumer: gives these records, and then ends."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    async def __aenter__(self) -> "FakeConsumer":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Any]:
        for record in self._records:
            yield SimpleNamespace(
                partition=record.partition,
                timestamp=record.time_ms,
                key=record.key,
                value=record.value,
            )


def lines_of_example(records: Sequence[Record]) -> list[str]:
    """The lines that the example prints for these records."""
    printed = io.StringIO()
    with (
        patch("aiokafka.AIOKafkaConsumer", lambda *_, **__: FakeConsumer(records)),
        contextlib.redirect_stdout(printed),
    ):
        runpy.run_path(str(ROOT / "examples" / "subscribe.py"), run_name="__main__")
    return printed.getvalue().splitlines()


def lines_of_replica(records: Sequence[Record]) -> list[str]:
    """A line, in the example's form, for each event that a replica applies."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=PARTITIONS))
    replica = Replica(store, PARTITIONS)
    lines = list[str]()

    def add(change: Change) -> None:
        job = change.stored.job
        lines.append(f"{job.job_id} {job.sequence} {job.event_type} {job.state.status}")

    replica.listeners.add(add)
    for record in records:
        replica.apply([record], {record.partition: record.offset + 1})
    store.close()
    return lines


class LogOfRaces:
    """A log on which two facades race, appends arrive late, and brokers lose acknowledged records.

    A facade that has read a record which the log has lost may append what it decided on it.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        #: All states of each job that a facade may decide on, the newest last.
        self.states: dict[str, list[Job | None]] = {job_id: [None] for job_id in JOBS}
        self._ids = 0

    def append(self, job_id: str, age: int, choice: int) -> None:
        """Appends an event that was decided on the newest state of the job, or on an older one."""
        states = self.states[job_id]
        before = states[max(0, len(states) - 1 - age)]
        self._ids += 1
        event = _decide(before, job_id, choice, f"event-{self._ids}")
        if event is None:
            return
        self.append_value(job_id, events.encode(event))
        states.append(apply_event(before, event))

    def append_value(self, job_id: str, value: bytes, key: bytes | None = None) -> None:
        """Appends a record to the job's partition."""
        partition = partition_of(job_id, PARTITIONS)
        offset = len(self.records)
        self.records.append(Record(partition, offset, NOW_MS, value, key or job_id.encode()))


def _decide(before: Job | None, job_id: str, choice: int, event_id: str) -> events.Event | None:
    """The event of one of the commands; None if a facade would append none."""
    attempt = before.state.attempt if before else 1
    dispatch_id = before.dispatch_id if before else ""
    holder = (before and before.state.executor_id) or A
    commands: tuple[Command, ...] = (
        request(job_id),
        claim(attempt, (A, B)[choice % 2], dispatch_id, job_id),
        report_progress(attempt, holder),
        hand_back(attempt, holder),
        report_failed(attempt, holder),
        retry(attempt),
        report_completed(attempt, holder),
        cancel(),
    )
    for index in range(len(commands)):
        command = replace(commands[(choice + index) % len(commands)], job_id=job_id)
        decision = lifecycle.decide(before, command, stamp(event_id))
        if isinstance(decision, events.KnownEvent):
            return decision
    return None


#: What happens to a log: the kind, the job, how old the state is that a facade decides on, and a
#: choice of the command or the record.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("append",) * 5 + ("again", "lose", "later", "junk", "key")),
        st.sampled_from(JOBS),
        st.sampled_from((0, 0, 0, 1, 2, 5)),
        st.integers(0, 9),
    ),
    max_size=40,
)
JUNK = (b"", b"no event", b"{}", b"[1]", b"[" * 100_000, b'{"subject": ["a"], "data": 1}', b"null")


@given(STEPS)
@examples(200)
def test_example_prints_what_a_replica_applies_of_any_log(steps: Any) -> None:
    """Races, duplicates, late appends, lost records, later types and foreign records are in it."""
    log = LogOfRaces()
    for kind, job_id, age, choice in steps:
        records = log.records
        if kind == "append":
            log.append(job_id, age, choice)
        elif kind == "junk":
            log.append_value(job_id, JUNK[choice % len(JUNK)])
        elif records and kind == "lose":
            records.pop()
        elif records:
            value = records[-1 - choice % len(records)].value or b""
            subject = json.loads(value)["subject"] if value.startswith(b'{"type') else job_id
            if kind == "later":
                value = value.replace(b'"fabric.jobs.progressed"', b'"fabric.jobs.noted"')
            log.append_value(subject, value, b"another" if kind == "key" else None)

    assert lines_of_example(log.records) == lines_of_replica(log.records)


def test_event_that_follows_a_lost_record_does_not_count() -> None:
    """A late append of a facade that has read the lost record has the next sequence of its job."""
    log = [
        record_of(event, offset, time_ms=NOW_MS)
        for offset, event in enumerate(events_of_forked_log())
    ]

    lines = lines_of_example(log)
    assert lines == lines_of_replica(log)
    assert lines[-1] == f"{JOBS[0]} 4 fabric.jobs.failed Failed"


@pytest.mark.parametrize(("after", "known"), [(-1, True), (0, False)])
def test_job_is_forgotten_by_the_time_of_its_own_partition(after: int, known: bool) -> None:
    """A reader may be far ahead in one partition while it reads old records of another one."""
    retention_ms = JobLifetime().retention // timedelta(milliseconds=1)
    first, started = events_of((request(), claim(1, A, "e1")))
    (elsewhere,) = events_of([request(JOBS[1])])
    log = [
        record_at(first, NOW_MS),
        record_at(elsewhere, NOW_MS + 2 * retention_ms),
        record_at(started, NOW_MS + retention_ms + after),
    ]

    lines = lines_of_example(log)
    assert lines == lines_of_replica(log)
    assert (f"{JOBS[0]} 2 fabric.jobs.started InProgress" in lines) == known


def record_at(event: events.Event, time_ms: int) -> Record:
    """The record of the event, which was decided and written at this time."""
    timed = replace(event, time=datetime.fromtimestamp(time_ms / 1000, UTC))
    return record_of(timed, partition=partition_of(event.subject, PARTITIONS), time_ms=time_ms)
