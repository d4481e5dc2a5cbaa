"""A sealed text is opened by a holder of its key, for the place that it was sealed for."""

import base64
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_jobs.facade.sealing import DamagedError, Purpose, Sealer, UnknownKeyError
from fabric_jobs.runtime.settings import RingKey
from tests.support.sealing import NEW_KEY, OLD_KEY

TENANT, JOB = "a tenant", "a job"
PLAIN = b'{"table": "salaries"}'


def sealer(*keys: RingKey, topic: str = "events") -> Sealer:
    """A sealer of this ring."""
    return Sealer(keys, topic)


SEALED = sealer(OLD_KEY).seal(Purpose.PAYLOAD, TENANT, JOB, PLAIN)


@given(st.binary(max_size=300), st.sampled_from(Purpose))
def test_sealed_text_opened_for_its_place_is_the_plain_text(plain: bytes, purpose: Purpose) -> None:
    """The plain text may be any bytes, or empty."""
    sealed = sealer(NEW_KEY, OLD_KEY).seal(purpose, TENANT, JOB, plain)
    assert sealer(OLD_KEY, NEW_KEY).open(purpose, TENANT, JOB, sealed) == plain


def test_sealed_text_names_its_key_and_shows_nothing_else() -> None:
    """The first key of the ring seals, and the same text is never sealed alike."""
    one, two = (sealer(NEW_KEY, OLD_KEY).seal(Purpose.ERROR, TENANT, JOB, PLAIN) for _ in range(2))
    assert one.startswith("1:new:")
    assert one != two
    assert b"salaries" not in base64.b64decode(one.rpartition(":")[2])


@pytest.mark.parametrize(
    ("topic", "purpose", "tenant_id", "job_id"),
    [
        place
        for place in product(
            ("events", "other"),
            (Purpose.PAYLOAD, Purpose.ERROR),
            (TENANT, "a tenant2"),
            (JOB, "another job"),
        )
        if place != ("events", Purpose.PAYLOAD, TENANT, JOB)
    ],
)
def test_sealed_text_in_another_place_is_damaged(
    topic: str, purpose: Purpose, tenant_id: str, job_id: str
) -> None:
    """Nobody can move a secret to a job, a field or a topic where others may read it."""
    with pytest.raises(DamagedError):
        sealer(OLD_KEY, topic=topic).open(purpose, tenant_id, job_id, SEALED)


def test_border_between_tenant_and_job_is_part_of_the_place() -> None:
    """The same letters in other fields are another place."""
    with pytest.raises(DamagedError):
        sealer(OLD_KEY).open(Purpose.PAYLOAD, f"{TENANT}{JOB[0]}", JOB[1:], SEALED)


def test_text_of_an_unknown_key_is_refused_with_the_key_id() -> None:
    """An operator reads which key is missing."""
    with pytest.raises(UnknownKeyError, match=r"the key old, which this facade does not have") as e:
        sealer(NEW_KEY).open(Purpose.PAYLOAD, TENANT, JOB, SEALED)
    assert e.value.key_id == "old"


def test_text_of_another_key_with_the_same_id_is_damaged() -> None:
    """The id only says which key to try."""
    with pytest.raises(DamagedError):
        sealer(RingKey("old", NEW_KEY.secret)).open(Purpose.PAYLOAD, TENANT, JOB, SEALED)


@pytest.mark.parametrize("position", range(len("1:old:"), len(SEALED), 7))
def test_changed_text_is_damaged(position: int) -> None:
    """A change of any letter is found."""
    letter = "A" if SEALED[position] != "A" else "B"
    changed = SEALED[:position] + letter + SEALED[position + 1 :]
    with pytest.raises(DamagedError):
        sealer(OLD_KEY).open(Purpose.PAYLOAD, TENANT, JOB, changed)


@given(st.text() | st.text().map("1:old:".__add__) | st.sampled_from(["1:old:AAAA", "2:old:", ":"]))
def test_arbitrary_text_is_damaged(text: str) -> None:
    """No record on the topic can raise another error."""
    with pytest.raises((DamagedError, UnknownKeyError)):
        sealer(OLD_KEY).open(Purpose.PAYLOAD, TENANT, JOB, text)


def test_keyed_hash_is_the_same_for_the_same_text_after_a_rotation() -> None:
    """The hash names its key, so a repeated create is recognised as long as the key is known."""
    first = sealer(OLD_KEY).keyed_hash(TENANT, JOB, "content")
    assert first.startswith("old:")
    assert sealer(NEW_KEY, OLD_KEY).keyed_hash(TENANT, JOB, "content", like=first) == first
    assert sealer(NEW_KEY, OLD_KEY).keyed_hash(TENANT, JOB, "other", like=first) != first
    assert (
        sealer(NEW_KEY, OLD_KEY).keyed_hash(TENANT, "another job", "content", like=first) != first
    )
    assert sealer(NEW_KEY, OLD_KEY).keyed_hash(TENANT, JOB, "content").startswith("new:")
    with pytest.raises(UnknownKeyError):
        sealer(NEW_KEY).keyed_hash(TENANT, JOB, "content", like=first)


def test_key_ids_are_in_the_order_of_the_ring() -> None:
    """The first key of the ring seals."""
    assert sealer(NEW_KEY, OLD_KEY).key_ids == ["new", "old"]
