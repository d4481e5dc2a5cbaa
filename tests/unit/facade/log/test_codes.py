"""A record code is right for the one record that it was written for, by a key of the ring."""

import time
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from fabric_jobs.facade.log import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.codes import HEADER, MAX_DELAY
from fabric_jobs.runtime.settings import MAX_KEYS, RingKey

OLD, NEW, OTHER = (
    RingKey(name, bytes(range(number, number + 32)))
    for number, name in enumerate(("old", "new", "other"))
)
DAY_MS = 86_400_000


def ring(*keys: RingKey, required: bool = True, record_time: bool = True) -> RecordCodes:
    """The codes of a ring with these keys."""
    return RecordCodes(keys, required=required, record_time=record_time)


def record(headers: list[tuple[str, bytes]], **changes: Any) -> Any:
    """A record that the broker appended now, with these fields instead of the usual ones."""
    fields = {
        "topic": "t",
        "partition": 3,
        "offset": 0,
        "timestamp": int(time.time() * 1000),
        "timestamp_type": 1,
        "key": b"key",
        "value": b"value",
        "checksum": None,
        "serialized_key_size": 3,
        "serialized_value_size": 5,
        "headers": headers,
    }
    return ConsumerRecord(**fields | changes)


def coded(*keys: RingKey, **changes: Any) -> Any:
    """The record as a writer with this ring appends it, with these fields changed afterwards."""
    return record(ring(*keys).write("t", 3, b"key", b"value"), **changes)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [((OLD,), (OLD,)), ((OLD,), (NEW, OLD)), ((NEW, OLD), (OLD,)), ((NEW, OLD), (NEW,))],
)
def test_rings_with_a_common_key_take_each_others_records(
    writer: tuple[RingKey, ...], reader: tuple[RingKey, ...]
) -> None:
    """Each step of a rotation leaves rings with a key in common, whichever facade writes."""
    assert ring(*reader).verify(coded(*writer)) is CodeVerdict.RIGHT
    assert ring(*writer).verify(coded(*reader)) is CodeVerdict.RIGHT


def test_code_of_an_unknown_key_is_wrong() -> None:
    """A facade with another ring, and a forger with a key of its own, are refused."""
    assert ring(NEW, OLD).verify(coded(OTHER)) is CodeVerdict.WRONG


def test_code_of_another_key_with_the_same_id_is_wrong() -> None:
    """The id only says which key to try."""
    assert ring(OLD).verify(coded(RingKey("old", OTHER.secret))) is CodeVerdict.WRONG


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "u"},
        {"partition": 4},
        {"key": b"kez"},
        {"key": None},
        {"value": b"valuf"},
        {"value": None},
        # The border between key and value is covered, too.
        {"key": b"keyv", "value": b"alue"},
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items())[:24],
)
def test_code_is_wrong_for_any_other_record(changes: dict[str, Any]) -> None:
    """A code that is copied to another place, content or day proves nothing."""
    assert ring(OLD).verify(coded(OLD, **changes)) is CodeVerdict.WRONG


@pytest.mark.parametrize("age_ms", [DAY_MS + 60_000, -DAY_MS - 60_000])
def test_code_is_wrong_for_a_record_of_another_day(age_ms: int) -> None:
    """The broker's time of a copy differs from the time in its code by more than a day."""
    timestamp = int(time.time() * 1000) - age_ms
    assert ring(OLD).verify(coded(OLD, timestamp=timestamp)) is CodeVerdict.WRONG


def test_time_is_not_compared_where_the_broker_writes_none() -> None:
    """The embedded broker gives every record one constant time."""
    codes = ring(OLD, record_time=False)
    assert codes.verify(coded(OLD, timestamp=0)) is CodeVerdict.RIGHT
    assert MAX_DELAY.days == 1


@pytest.mark.parametrize(("required", "accepted"), [(True, False), (False, True)])
def test_record_without_code_is_accepted_unless_codes_are_required(
    required: bool, accepted: bool
) -> None:
    """While a ring is introduced, records without a code are taken, and wrong codes never are."""
    codes = ring(OLD, required=required)

    assert codes.verify(record([("content-type", b"json")])) is CodeVerdict.NONE
    assert codes.accepts(CodeVerdict.NONE) is accepted
    assert codes.accepts(CodeVerdict.RIGHT)
    assert not codes.accepts(CodeVerdict.WRONG)


@given(st.lists(st.binary() | st.text().map(str.encode), max_size=5))
def test_arbitrary_bytes_as_codes_are_wrong(values: list[bytes]) -> None:
    """No content of the header raises."""
    found = ring(OLD).verify(record([(HEADER, value) for value in values]))
    assert found is (CodeVerdict.WRONG if values else CodeVerdict.NONE)


@pytest.mark.parametrize("written", ["", "-1", "1e3", "9" * 16, "٣"])
def test_code_with_an_unreadable_time_is_wrong(written: str) -> None:
    """The time is a whole number of milliseconds."""
    ((_, code),) = ring(OLD).write("t", 3, b"key", b"value")
    mac = code.rpartition(b":")[2].decode()
    forged = record([(HEADER, f"old:{written}:{mac}".encode())])
    assert ring(OLD).verify(forged) is CodeVerdict.WRONG


def test_only_the_first_codes_of_a_record_are_verified() -> None:
    """A record with thousands of headers costs no more than one with a full ring."""
    right = ring(OLD).write("t", 3, b"key", b"value")
    padding = [(HEADER, b"old:1:00")] * MAX_KEYS
    assert ring(OLD).verify(record(padding[1:] + right)) is CodeVerdict.RIGHT
    assert ring(OLD).verify(record(padding + right)) is CodeVerdict.WRONG


def test_rules_differ_with_keys_and_requirement_and_disclose_no_key() -> None:
    """A state file is kept exactly while the same records would be accepted."""
    other = ring(RingKey("old", OTHER.secret))
    found = [ring(OLD), ring(NEW, OLD), ring(OLD, required=False), other]
    assert len({codes.rules for codes in found}) == len(found)
    assert ring(NEW, OLD).rules == ring(OLD, NEW).rules
    assert OLD.secret.hex() not in ring(OLD).rules
