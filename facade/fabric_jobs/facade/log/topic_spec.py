"""The requirements of a topic."""

from msgspec import Struct


class TopicSpec(Struct, frozen=True, kw_only=True):
    """The requirements that the topic must meet."""

    name: str
    partitions: int
    #: Whether exactly the first `partitions` of the topic are used, because the partition of a key
    #: follows from the number. A topic with fewer, or with records in others, is refused.
    exact_partitions: bool
    #: The environment variable of `partitions`; empty if the number is fixed.
    partitions_setting: str = ""
    #: The shortest retention that is accepted, in milliseconds; None for a compacted topic, which
    #: keeps the last record of each key.
    min_retention_ms: int | None
    #: Why it must be that long, for people, as a clause; empty for a compacted topic.
    min_retention_reason: str
    #: The retention of a topic that is created here, in milliseconds; None if it is compacted.
    retention_ms: int | None
    #: The size of the largest record, in bytes.
    max_record_bytes: int
    #: Whether a missing topic is created here.
    create: bool
    #: How long the broker may keep a record whose key has a later one, in milliseconds, beside the
    #: retention; None if it must keep each.
    erasure_ms: int | None = None
    #: The age of the oldest record that a reader without positions needs, in milliseconds; None if
    #: it needs each.
    max_age_ms: int | None = None
