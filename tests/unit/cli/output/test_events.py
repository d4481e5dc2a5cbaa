"""A job's events in a table and in JSON."""

import json
import re
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from fabric_jobs.cli.output.events import events_table
from fabric_jobs.cli.output.json_lines import event_json
from fabric_jobs.cli.output.tables import print_table
from fabric_jobs.contract.events import Event, encode
from fabric_jobs.contract.jobs import Policy
from fabric_jobs.runtime.kafka.history import HistoryEvent
from tests.support.lifecycle import (
    JOB,
    A,
    claim,
    drive,
    events_of,
    hand_back,
    report_failed,
    report_progress,
    request,
    retry,
    save_checkpoint,
    unknown_event,
)
from tests.support.sealing import sealing

POLICY = Policy(max_attempts=2, initial_backoff_s=2, jitter=0)


def story() -> list[Event]:
    """The events of a job that fails twice, with a hand-back in between."""
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


def logged(event: Event, *, taken: bool = True, value: bytes | None = None) -> HistoryEvent:
    """The event in a record of the topic."""
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
    return HistoryEvent(record, event, taken)


def test_events_table_has_a_row_with_details_for_each_event(capsys: Any) -> None:
    """An event that was not applied is marked as ignored."""
    rows = [logged(event) for event in story()]
    rows.insert(2, logged(story()[0], taken=False))
    rows.append(logged(unknown_event(drive([request()]))))
    print_table(events_table(rows))

    assert [line.split(maxsplit=4)[0::2] for line in capsys.readouterr().out.splitlines()] == [
        ["#", "EVENT", "DETAIL"],
        ["1", "requested"],
        ["2", "started", "attempt 1 by executor-a"],
        ["1", "requested", "ignored: a duplicate, or too late"],
        ["3", "progressed", "50% half"],
        ["4", "attempt-failed", "Flaky: Flaky happened. Next at 2026-01-01T00:00:06Z"],
        ["5", "requeued", "attempt 2, RetryDue"],
        ["6", "started", "attempt 2 by executor-a"],
        ["7", "requeued", "attempt 3, HandedBack"],
        ["8", "started", "attempt 3 by executor-a"],
        ["9", "failed", "exhausted, Flaky: Flaky happened."],
        ["2", "paused"],
    ]


def test_events_table_says_of_a_sealed_text_that_it_is_sealed(capsys: Any) -> None:
    """Only facades can open it."""
    events = [*story(), *events_of((request(), claim(1, A, "e1"), save_checkpoint()))[2:]]
    print_table(events_table([logged(sealing().seal(event)) for event in events]))
    lines = [line.split(maxsplit=4)[0::2] for line in capsys.readouterr().out.splitlines()]

    assert [line for line in lines if "(sealed)" in line[-1]] == [
        ["3", "progressed", "50% (sealed)"],
        ["4", "attempt-failed", "Flaky: (sealed) Next at 2026-01-01T00:00:06Z"],
        ["9", "failed", "exhausted, Flaky: (sealed)"],
        ["3", "checkpointed", "(sealed)"],
    ]


def test_event_json_is_one_line_with_the_unchanged_event() -> None:
    """The line also has the partition, the offset, and whether the event was applied."""
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


def test_events_table_shows_the_size_of_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    """The value itself is in the JSON only."""
    events = events_of((request(), claim(1, A, "e1"), save_checkpoint()))
    print_table(events_table([logged(event) for event in events]))

    assert re.search(r"checkpointed +InProgress +9 bytes", capsys.readouterr().out)
    assert json.loads(event_json(logged(events[-1])))["event"]["data"]["checkpoint"] == {"row": 7}
