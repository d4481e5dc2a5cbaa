"""Whose fold a file is, and by which rules it was made."""

from hashlib import sha256

import msgspec
from msgspec import Struct

from fabric_jobs.contract import events

#: Raised when the fold or the form of a row changes: rows of another version are folded anew.
FOLD_VERSION = 4
#: What this version reads of an event. Rows that another one folded may lack fields, and hold jobs
#: undecided whose last event it did not know.
CONTRACT = sha256(
    msgspec.json.encode(msgspec.json.schema(events.KnownEvent), order="sorted")
).hexdigest()


class Identity(Struct, frozen=True, kw_only=True):
    """Whose fold a file is: any difference means another log."""

    cluster_id: str
    topic: str
    partitions: int
    fold_version: int = FOLD_VERSION
    contract: str = CONTRACT
