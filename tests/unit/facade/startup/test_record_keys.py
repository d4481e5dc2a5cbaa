"""What a sample of the topic says about the keys of a ring."""

import os
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log import RecordCodes
from fabric_jobs.facade.startup.record_keys import KeyUsage
from fabric_jobs.runtime.settings import RingKey

OLD, NEW, OTHER = (RingKey(name, os.urandom(32)) for name in ("old", "new", "other"))


def ring(*keys: RingKey, required: bool = True) -> RecordCodes:
    """The codes of a ring."""
    return RecordCodes(keys, required=required, record_time=False)


def record(*keys: RingKey) -> ConsumerRecord:
    """A record of a facade with this ring; without keys, of one without a ring."""
    headers = ring(*keys).write("t", 0, b"key", b"value") if keys else ()
    return ConsumerRecord("t", 0, 0, 0, 1, b"key", b"value", None, 0, 0, tuple(headers))


def usage(codes: RecordCodes, *records: ConsumerRecord) -> tuple[bool, Sequence[str]]:
    """Whether the ring is complete for these records, and the lines about it."""
    found = KeyUsage(codes)
    for one in records:
        found.add(one)
    return found.is_complete, found.describe().splitlines()


def test_key_that_every_record_has_beside_another_is_not_needed() -> None:
    """It can be removed; the other one can't."""
    complete, (first, *advice) = usage(ring(NEW, OLD), record(NEW, OLD), record(NEW))

    assert complete
    assert first.endswith("2 records, right codes by new on 2, old on 1")
    assert advice == ["No record needs old: each has a right code by another key."]


def test_key_that_old_records_need_is_not_said_to_be_removable() -> None:
    """A key that nobody uses yet is named as well."""
    complete, (_, *advice) = usage(ring(NEW, OLD, OTHER), record(NEW, OLD), record(OLD))
    assert complete
    assert advice == [
        "No record needs new: each has a right code by another key.",
        "No record has a code by other: it is new, or can be removed.",
    ]


def test_ring_that_lacks_the_key_of_a_record_is_incomplete() -> None:
    """A facade with it would skip the record."""
    complete, (_, *advice) = usage(ring(NEW), record(NEW), record(OLD, OTHER))

    assert not complete
    assert "lacks keys: records have codes by old, other alone" in advice[0]


def test_record_with_a_wrong_code_or_with_none_is_counted() -> None:
    """A record without a code is taken only where that is allowed."""
    forged = ring(RingKey("new", os.urandom(32))).write("t", 0, b"key", b"value")
    wrong = ConsumerRecord("t", 0, 0, 0, 1, b"key", b"value", None, 0, 0, tuple(forged))
    complete, (_, *advice) = usage(ring(NEW), record(NEW), wrong)
    assert not complete
    assert advice == ["1 records have wrong codes only, and are skipped."]

    assert usage(ring(NEW), record(NEW), record())[0] is False
    complete, (_, *advice) = usage(ring(NEW, required=False), record(NEW), record())
    assert complete
    assert advice == ["1 records have no code, and are taken."]


def test_empty_topic_is_said_to_be_empty() -> None:
    """No advice follows from it."""
    assert usage(ring(NEW)) == (True, ["the topic has no records"])
