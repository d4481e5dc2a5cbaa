"""The paused job types as a replica reads them from their topic."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.controls import decode_record, encode, key_of
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.log import Record
from tests.support.controls import MemoryLog, open_controls, pause

CONTROL = pause("Item", "job", "the first")


async def test_pause_is_the_same_on_every_replica_and_after_a_restart() -> None:
    """A replica that starts later reads the topic from its beginning."""
    log = MemoryLog()
    here, there = open_controls(log), open_controls(log)
    await here.write(CONTROL)

    assert there.paused == here.paused == {CONTROL.kind: CONTROL}
    assert open_controls(log).paused == {CONTROL.kind: CONTROL}


async def test_last_control_of_a_job_type_applies() -> None:
    """By its place on the topic, not by its time. Other types keep theirs."""
    log = MemoryLog()
    here, other = open_controls(log), pause("Item", "other")
    later = replace(CONTROL, reason="the second", time=CONTROL.time.replace(year=2025))
    for control in (CONTROL, other, later):
        await here.write(control)
    assert here.paused == {CONTROL.kind: later, other.kind: other}

    await here.write(replace(CONTROL, paused=False))
    assert here.paused == open_controls(log).paused == {other.kind: other}


def test_record_that_is_no_control_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its offset; the next one counts."""
    controls = open_controls()
    key, late = key_of(CONTROL.kind), CONTROL.time.replace(year=2200)
    poison = [
        (key, b"nonsense"),
        (key, encode(replace(CONTROL, reason="x" * 513))),
        (key, encode(replace(CONTROL, time=late))),
        (b"another key", encode(CONTROL)),
        (None, encode(CONTROL)),
    ]
    records = [
        Record(0, offset, 0, value, key)
        for offset, (key, value) in enumerate([*poison, (key, None), (key, encode(CONTROL))])
    ]
    controls.apply(records, {0: len(records)})

    assert controls.paused == {CONTROL.kind: CONTROL}
    assert controls.poison.count == len(poison)
    skipped = [line for line in caplog.messages if "is no control" in line]
    assert ["offset 4" in line for line in skipped] == [False] * 4 + [True]
    assert decode_record(key, encode(CONTROL)) == CONTROL


def test_topic_that_is_read_again_begins_without_pauses() -> None:
    """A topic that was made anew has none."""
    controls = open_controls()
    controls.apply([Record(0, 0, 0, encode(CONTROL), key_of(CONTROL.kind))], {0: 1})
    paused = controls.paused
    controls.reset()

    assert controls.paused == {}
    assert controls.paused is paused


@pytest.mark.parametrize("end", ["never", "cancelled", "failed"])
async def test_write_that_kafka_does_not_confirm_has_an_unknown_outcome(end: str) -> None:
    """The caller may repeat it."""

    class DeafLog(MemoryLog):
        async def append(self, *_: Any) -> asyncio.Future[object]:
            future = asyncio.get_running_loop().create_future()
            if end == "cancelled":
                future.cancel()
            if end == "failed":
                future.set_exception(RuntimeError("no leader"))
            return future

    deaf: Any = DeafLog()
    with pytest.raises(UnavailableError) as raised:
        await Controls(deaf, 0.05).write(CONTROL)

    assert raised.value.reason is UnavailableReason.OUTCOME_UNKNOWN


def test_key_of_the_topic_is_the_job_type() -> None:
    """Two names that are joined differently are two types."""
    assert key_of(JobKind("Item", "job")) == b'["Item","job"]'


async def test_announcement_at_a_facade_s_start_is_skipped_by_every_replica(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It only shows that this facade may write to the topic."""
    log = MemoryLog()
    here, there = open_controls(log), open_controls(log)
    await here.announce()

    assert len(log.records) == 1
    assert (here.paused, there.paused, caplog.messages) == ({}, {}, [])
    assert there.poison.count == 0
