"""Seals secrets of jobs: authenticated encryption, bound to the place that each secret belongs to.

A sealed text is `1:KEY_ID:BASE64`. `1` is the format, `KEY_ID` names the key of the ring, and the
rest is a random nonce and the ciphertext of AES-256-GCM. The context of the secret (format, topic,
tenant, job, purpose) is the associated data, so a sealed text that is copied to another job or
another field can't be opened there.

AES-GCM is safe only while one key encrypts each nonce once, which random nonces of 96 bits ensure
for about 2^32 messages. A ring key may live for longer than that. So it encrypts nothing itself:
HKDF derives a key for each context from it. One context has at most one message a second for a
day, and the chance that two of its nonces are equal is below 2^-62.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from fabric_jobs.facade.sealing.errors import DamagedError, UnknownKeyError
from fabric_jobs.runtime.settings import KEY_ID, RingKey

_FORMAT = "1"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_DAMAGED = "It was not sealed for this place, or it was changed afterwards."


class Purpose(StrEnum):
    """The kind of secret. A text that is sealed for one purpose can't be opened for another."""

    PAYLOAD = "payload"
    DEFINITION = "definition"
    CHECKPOINT = "checkpoint"
    ERROR = "error"
    PROGRESS = "progress"
    TRACEBACK = "traceback"
    LOG_TAIL = "log-tail"
    #: What a facade keeps of a user's consent, to get tokens on the user's behalf.
    GRANT = "grant"


class Sealer:
    """Seals and opens the secrets of one topic with a ring of keys; the first key seals.

    A ring without keys opens nothing and must seal nothing.
    """

    def __init__(self, keys: Sequence[RingKey], topic: str) -> None:
        self._keys = {key.id: key.secret for key in keys}
        self._topic = topic
        self._newest = keys[0].id if keys else ""

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, in the order of the ring."""
        return list(self._keys)

    def seal(self, purpose: Purpose, tenant_id: str, job_id: str, plain: bytes) -> str:
        """Returns the sealed text, in ASCII without quotes or spaces."""
        context = self._context(purpose, tenant_id, job_id)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher(self._newest, context).encrypt(nonce, plain, context)
        return f"{_FORMAT}:{self._newest}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, purpose: Purpose, tenant_id: str, job_id: str, sealed: str) -> bytes:
        """Returns what was sealed. Raises `UnknownKeyError` and `DamagedError`."""
        key_id, encoded = split_sealed(sealed)
        self.require_key(key_id)
        context = self._context(purpose, tenant_id, job_id)
        try:
            data = base64.b64decode(encoded, validate=True)
            return self._cipher(key_id, context).decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], context
            )
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise DamagedError(_DAMAGED) from error

    def keyed_hash(self, tenant_id: str, job_id: str, text: str, like: str | None = None) -> str:
        """Returns `KEY_ID:HEX`: a hash of the text that nobody without the key can compute.

        `like` is an earlier keyed hash: its key is used, so that equal texts have equal hashes
        also after the ring's first key has changed. Raises `UnknownKeyError`.
        """
        key_id = key_id_of_hash(like) if like else self._newest
        self.require_key(key_id)
        context = self._context("hash", tenant_id, job_id)
        key = self._derive(key_id, context)
        return f"{key_id}:{hmac.digest(key, text.encode(), 'sha256').hex()}"

    def require_key(self, key_id: str) -> None:
        """Raises `UnknownKeyError` if the ring has no key with this id."""
        if key_id not in self._keys:
            raise UnknownKeyError(key_id)

    def _context(self, purpose: str, tenant_id: str, job_id: str) -> bytes:
        """Each field with its length before it, so that none can move into another."""
        fields = (_FORMAT, self._topic, tenant_id, job_id, purpose)
        return b"".join(
            len(field).to_bytes(4, "big") + field for field in (text.encode() for text in fields)
        )

    def _cipher(self, key_id: str, context: bytes) -> AESGCM:
        return AESGCM(self._derive(key_id, context))

    def _derive(self, key_id: str, context: bytes) -> bytes:
        # The key is uniformly random, so HKDF's step of extraction has nothing to do.
        return HKDFExpand(SHA256(), _KEY_BYTES, context).derive(self._keys[key_id])


def key_id_of_hash(keyed: str) -> str:
    """The id of the key that a keyed hash names; empty for a hash without a key."""
    return keyed.rpartition(":")[0]


def split_sealed(sealed: str) -> tuple[str, str]:
    """The id of the key that a sealed text names, and the rest. Raises `DamagedError`."""
    version, _, rest = sealed.partition(":")
    key_id, _, encoded = rest.partition(":")
    if version != _FORMAT or not KEY_ID.fullmatch(key_id):
        raise DamagedError(f"It is not a sealed text of the format {_FORMAT}.")
    return key_id, encoded
