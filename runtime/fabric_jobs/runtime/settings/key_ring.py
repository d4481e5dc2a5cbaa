"""A ring of secret keys in one setting: each key has an id, so that keys can be replaced."""

import base64
import binascii
import re
from typing import NamedTuple

#: The most keys of a ring.
MAX_KEYS = 8
#: The shortest key, in bytes.
MIN_KEY_BYTES = 32
#: A key with fewer distinct bytes is no random one: 32 random bytes have 30 of them on average.
_MIN_DISTINCT_BYTES = 16
#: The form of a key's id.
KEY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_NEW_KEY = "`openssl rand -base64 32` makes one"


class RingKey(NamedTuple):
    """One key of a ring."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"RingKey({self.id!r}, ***)"


def read_ring(text: str) -> tuple[RingKey, ...]:
    """The keys of a ring written as `id:base64` entries, with commas or white space between them.

    Raises `ValueError` with a sentence that names the entry by its id or number, never its key.
    """
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if not entries:
        raise ValueError("It has no key.")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"It has {len(entries)} keys; {MAX_KEYS} is the most.")
    keys = tuple(_read_key(entry, number) for number, entry in enumerate(entries, 1))
    for name, found in (
        ("id", [key.id for key in keys]),
        ("key", [key.secret for key in keys]),
    ):
        if len(set(found)) < len(found):
            raise ValueError(f"Two of its entries have the same {name}.")
    return keys


def _read_key(entry: str, number: int) -> RingKey:
    key_id, colon, encoded = entry.partition(":")
    if not (colon and KEY_ID.fullmatch(key_id)):
        raise ValueError(
            f"Its entry {number} is not id:base64, with an id of at most 32 small letters, digits, "
            "dots, - and _."
        )
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"The key {key_id} is not base64: {_NEW_KEY}.") from error
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(
            f"The key {key_id} has {len(secret)} bytes; {MIN_KEY_BYTES} is the least: {_NEW_KEY}."
        )
    if len(set(secret)) < _MIN_DISTINCT_BYTES:
        raise ValueError(f"The key {key_id} is not random: {_NEW_KEY}.")
    return RingKey(key_id, secret)
