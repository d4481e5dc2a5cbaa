"""A ring of keys is read from one setting, and an unusable one is refused with its reason."""

import base64
import os

import pytest

from fabric_jobs.runtime.settings import RingKey, read_ring


def encode(secret: bytes) -> str:
    """As in the setting."""
    return base64.b64encode(secret).decode()


def test_read_ring_takes_commas_and_lines() -> None:
    """A file of the ring has an entry in each line."""
    one, two = os.urandom(32), os.urandom(48)
    text = f"2026-12:{encode(one)},\n 2026-11:{encode(two)}\n"
    assert read_ring(text) == (("2026-12", one), ("2026-11", two))


SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
GOOD = encode(SECRET)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" , ", "no key"),
        (GOOD, "entry 1 is not id:base64"),
        (f"a:{GOOD},B:{GOOD}", "entry 2 is not id:base64"),
        (f"a:{GOOD[:-2]}", "a is not base64"),
        ("a:not base64", "entry 2|a is not base64"),
        (f"a:{encode(bytes(range(31)))}", "a has 31 bytes; 32 is the least"),
        (f"a:{encode(bytes(64))}", "a is not random"),
        (f"a:{encode(b'passwordpasswordpasswordpassword')}", "a is not random"),
        (f"a:{GOOD},a:{encode(OTHER)}", "the same id"),
        (f"a:{GOOD},b:{GOOD}", "the same key"),
        (",".join(f"k{n}:{encode(os.urandom(32))}" for n in range(9)), "9 keys; 8 is the most"),
    ],
)
def test_read_ring_refuses_an_unusable_ring_without_disclosing_it(text: str, words: str) -> None:
    """The error says which entry and why."""
    with pytest.raises(ValueError, match=words) as error:
        read_ring(text)
    assert GOOD[:8] not in str(error.value)


def test_ring_key_shows_its_id_and_not_its_secret() -> None:
    """A log or a traceback that shows a key discloses nothing."""
    assert repr(RingKey("2026-11", SECRET)) == "RingKey('2026-11', ***)"
