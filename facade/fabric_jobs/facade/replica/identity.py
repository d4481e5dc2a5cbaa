"""Identifies the log that a file was folded from, and the version that folded it."""

from hashlib import sha256

import msgspec
from msgspec import Struct

from fabric_jobs.contract import events
from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE

#: Raise it when the fold or the form of a row changes: files of another version are folded again.
FOLD_VERSION = 10
#: A hash of the fields and event types that this version knows. A file of a version that knows
#: others is folded again, because its jobs may lack fields, or be undecidable there and not here.
CONTRACT = sha256(
    msgspec.json.encode(msgspec.json.schema(events.KnownEvent), order="sorted")
).hexdigest()


class Identity(Struct, frozen=True, kw_only=True):
    """The log that a file was folded from, and the version that folded it.

    A file is used only if all fields are equal to the replica's own.
    """

    cluster_id: str
    topic: str
    partitions: int
    #: The service's longest life of a job, in seconds. It determines the deadlines of the rows, and
    #: which jobs are too old.
    longest_life_s: int = int(DEFAULT_LONGEST_LIFE.total_seconds())
    fold_version: int = FOLD_VERSION
    contract: str = CONTRACT
    #: The rules by which records were accepted. A file that was folded by other rules may have
    #: jobs from records that are refused now, or lack jobs from records that are accepted now.
    record_rules: str = ""

    def digest(self) -> bytes:
        """The SHA-256 of all fields."""
        return sha256(msgspec.json.encode(self)).digest()
