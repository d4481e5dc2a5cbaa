"""The capabilities of each kind of broker: the only place where the two kinds differ."""

from msgspec import Struct


class Broker(Struct, frozen=True, kw_only=True):
    """The capabilities of a kind of broker, and the client settings that they require."""

    name: str
    #: Topics can be created and their configuration read. Otherwise a topic appears on first use.
    topic_admin: bool
    #: Records carry the broker's time, and offsets can be looked up by time.
    record_time: bool
    #: Records are kept for the topic's retention time. Otherwise old records vanish earlier.
    keeps_log: bool
    #: A consumer group can have more than one member.
    shared_pools: bool
    #: How long a fetch waits for records, in milliseconds.
    fetch_max_wait_ms: int
    #: Milliseconds without a heartbeat after which the broker removes a member from its group. The
    #: same time bounds a rebalance.
    session_timeout_ms: int


APACHE = Broker(
    name="apache",
    topic_admin=True,
    record_time=True,
    keeps_log=True,
    shared_pools=True,
    fetch_max_wait_ms=500,
    session_timeout_ms=30_000,
)

#: The mock cluster of librdkafka. It speaks the real Kafka protocol on a loopback port and loses
#: everything when it stops.
EMBEDDED = Broker(
    name="embedded",
    topic_admin=False,
    record_time=False,
    keeps_log=False,
    shared_pools=False,
    # A new record does not wake a waiting fetch, so a longer wait would delay every record.
    fetch_max_wait_ms=10,
    # The first join takes 3 s. A member with a shorter session would be removed before that.
    session_timeout_ms=6_000,
)

BROKERS = {broker.name: broker for broker in (APACHE, EMBEDDED)}
