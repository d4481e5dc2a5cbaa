"""Record codes: an HMAC in a header shows that a record was written by a holder of a shared key.

A ring is a set of keys. A writer adds one code for each key of its ring, and a reader takes a
record that has a right code of any key of its own ring. Two facades therefore agree on every record
for as long as their rings have a key in common, and a key can be added or removed in a rolling
restart without any agreement on when.

A code covers the topic, the partition, the key, the value and the writer's time. The time bounds
replays: the broker's time of a record may differ from it by `MAX_DELAY`, which is shorter than the
time for which replicas know a job, so that a copied event is always a duplicate or refused. A
facade writes the time of its confirmed clock, so that its records are taken although its machine's
clock is wrong.
"""

import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from fabric_jobs.facade.clock import utc_now
from fabric_jobs.runtime.settings import MAX_KEYS, RingKey

#: The name of the header. A record has one such header for each key of its writer's ring.
HEADER = "fabric-jobs-code"
#: How far the broker's time of a record may be from the writer's.
MAX_DELAY = timedelta(days=1)
_MAX_DELAY_MS = MAX_DELAY // timedelta(milliseconds=1)


class CodeVerdict(StrEnum):
    """What the codes of a record show."""

    #: It has a right code.
    RIGHT = "right"
    #: It has none.
    NONE = "none"
    #: It has codes, and none of them is right.
    WRONG = "wrong"


class _Record(Protocol):
    """The parts of a record that a code covers: of aiokafka's `ConsumerRecord`, for example."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class RecordCodes:
    """Writes codes by all keys of a ring, and verifies the codes of records."""

    def __init__(
        self,
        keys: Sequence[RingKey],
        *,
        required: bool,
        record_time: bool,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`required` means that a record without a code is refused, as one with a wrong code is.

        `record_time` says whether the broker writes its own time on each record, and `now` returns
        the time that is written into a code.
        """
        self._keys = {key.id: key.secret for key in keys}
        self._required = required
        self._record_time = record_time
        self._now = now

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, in the order of the ring."""
        return list(self._keys)

    @property
    def rules(self) -> str:
        """Identifies the ring and the rule: replicas with equal text agree on every record.

        It does not disclose the keys.
        """
        prints = [
            f"{key_id}:{hmac.digest(secret, b'fabric-jobs record key', 'sha256').hex()[:16]}"
            for key_id, secret in sorted(self._keys.items())
        ]
        return " ".join(["require" if self._required else "accept", *prints])

    def write(
        self, topic: str, partition: int, key: bytes, value: bytes
    ) -> list[tuple[str, bytes]]:
        """The headers of a record that is appended now."""
        written_ms = int(self._now().timestamp() * 1000)
        message = _message(topic, partition, written_ms, key, value)
        return [
            (HEADER, f"{key_id}:{written_ms}:{_mac(secret, message)}".encode())
            for key_id, secret in self._keys.items()
        ]

    def verify(self, record: _Record) -> CodeVerdict:
        """What the record's codes show. Only the first `MAX_KEYS` are looked at."""
        codes = _codes_of(record)
        if not codes:
            return CodeVerdict.NONE
        is_right = any(self._is_right(code, record) for code in codes)
        return CodeVerdict.RIGHT if is_right else CodeVerdict.WRONG

    def right_keys(self, record: _Record) -> set[str]:
        """The ids of the keys by which the record has a right code."""
        return {_key_id(code) for code in _codes_of(record) if self._is_right(code, record)}

    def foreign_keys(self, record: _Record) -> set[str]:
        """The ids of the keys of the record's codes that are not in the ring, so not verifiable."""
        return {_key_id(code) for code in _codes_of(record)} - self._keys.keys()

    def accepts(self, verdict: CodeVerdict) -> bool:
        """Whether a record with this verdict is taken."""
        return verdict is CodeVerdict.RIGHT or (verdict is CodeVerdict.NONE and not self._required)

    def _is_right(self, code: bytes | None, record: _Record) -> bool:
        key_id, _, rest = (code or b"").decode("latin-1").partition(":")
        written, _, mac = rest.partition(":")
        secret = self._keys.get(key_id)
        if secret is None or not re.fullmatch(r"[0-9]{1,15}", written, re.ASCII):
            return False
        written_ms = int(written)
        if self._record_time and abs(record.timestamp - written_ms) > _MAX_DELAY_MS:
            return False
        message = _message(
            record.topic, record.partition, written_ms, record.key or b"", record.value or b""
        )
        return hmac.compare_digest(mac.encode(), _mac(secret, message).encode())


def _codes_of(record: _Record) -> list[bytes]:
    return [value for name, value in record.headers if name == HEADER][:MAX_KEYS]


def _key_id(code: bytes | None) -> str:
    """The id in a code, cut: whoever wrote the record chose it."""
    return (code or b"").decode("latin-1").partition(":")[0][:32]


def _message(topic: str, partition: int, written_ms: int, key: bytes, value: bytes) -> bytes:
    """The bytes that a code covers: each field with its length before it, so that none can move."""
    fields = (topic.encode(), str(partition).encode(), str(written_ms).encode(), key, value)
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def _mac(secret: bytes, message: bytes) -> str:
    return hmac.digest(secret, message, "sha256").hex()
