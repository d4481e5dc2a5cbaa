"""A job's events: which of them count, and what people and scripts are shown of them."""

import json
from typing import Any

from aiokafka.structs import ConsumerRecord

import fabric_jobs.cli.output.jobs
from fabric_jobs.cli.commands.jobs.events import event_json, events_table
from fabric_jobs.contract.events import Event, encode
from fabric_jobs.contract.jobs import Policy
from fabric_jobs.runtime.kafka.history import Logged, NumberedJob
from tests.support.lifecycle import (
    JOB,
    A,
    cancel,
    claim,
    decide_event,
    drive,
    events_of,
    hand_back,
    report_failed,
    report_progress,
    request,
    retry,
    stamp,
    unknown_event,
)

POLICY = Policy(max_attempts=2, initial_backoff_s=2, jitter=0)


def story() -> list[Event]:
    """A job that uses up its two attempts, with a hand-back between and an event of later type."""
    return events_of(
        (
            request(),
            claim(1, A, "e1", policy=POLICY),
            report_progress(),
            report_failed(),
            retry(),
            claim(2, A, "e5", policy=POLICY),
            hand_back(2),
            claim(3, A, "e7", policy=POLICY),
            report_failed(3),
        )
    )


def logged(event: Event, *, taken: bool = True, value: bytes | None = None) -> Logged:
    """The event in a record."""
    record: Any = ConsumerRecord(
        topic="t",
        partition=3,
        offset=17,
        timestamp=0,
        timestamp_type=1,
        key=JOB.encode(),
        value=value or encode(event),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
    return Logged(record, event, taken)


def test_duplicates_gaps_and_losers_do_not_count() -> None:
    """One number a job: each event of its story counts once, in order, whatever lies between."""
    events = story()
    loser = decide_event(drive([request()]), cancel(), stamp("loser"))
    job = NumberedJob()

    assert not job.takes(events[1])
    for event in events:
        assert job.takes(event)
        assert not job.takes(events[0])
        assert not job.takes(event)
        assert job.sequence == 1 or not job.takes(loser)
    assert job.sequence == len(events)


def test_nothing_counts_after_the_final_event() -> None:
    """Though it has the next number."""
    ended = drive([request(), cancel()])
    job = NumberedJob()
    first = decide_event(None, request(), stamp("e1"))
    assert job.takes(first)
    assert job.takes(decide_event(drive([request()]), cancel(), stamp("e2")))

    assert not job.takes(unknown_event(ended))
    assert job.sequence == 2


def test_people_see_what_each_event_says(capsys: Any) -> None:
    """A row an event; one that did not count says so."""
    rows = [logged(event) for event in story()]
    rows.insert(2, logged(story()[0], taken=False))
    rows.append(logged(unknown_event(drive([request()]))))
    fabric_jobs.cli.output.jobs.put(events_table(rows))

    assert [line.split(maxsplit=4)[0::2] for line in capsys.readouterr().out.splitlines()] == [
        ["#", "EVENT", "DETAIL"],
        ["1", "requested"],
        ["2", "started", "attempt 1 by executor-a"],
        ["1", "requested", "lost: a duplicate, or too late"],
        ["3", "progressed", "50% half"],
        ["4", "attempt-failed", "Flaky: Flaky happened. Next at 2026-01-01T00:00:06Z"],
        ["5", "requeued", "attempt 2, RetryDue"],
        ["6", "started", "attempt 2 by executor-a"],
        ["7", "requeued", "attempt 3, HandedBack"],
        ["8", "started", "attempt 3 by executor-a"],
        ["9", "failed", "exhausted, Flaky: Flaky happened."],
        ["2", "paused"],
    ]


def test_scripts_get_the_record_as_it_is_on_one_line() -> None:
    """Its place, whether it counted, and the very event."""
    event = story()[0]
    spread = json.dumps(json.loads(encode(event)), indent=2).encode()
    line = event_json(logged(event, taken=False, value=spread))

    assert "\n" not in line
    assert json.loads(line) == {
        "partition": 3,
        "offset": 17,
        "applied": False,
        "event": json.loads(encode(event)),
    }
