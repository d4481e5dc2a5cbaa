"""What a broker can do: one table, asked wherever Apache Kafka and the embedded broker differ."""

from msgspec import Struct


class Broker(Struct, frozen=True, kw_only=True):
    """The capabilities of a kind of broker, and what its clients are set to because of them."""

    name: str
    #: Topics can be made, and their configuration read: without it, topics appear on first use.
    topic_admin: bool
    #: Records carry the broker's time, and offsets can be asked by it.
    record_time: bool
    #: What was written stays for the topic's retention; without it, old records vanish unasked.
    keeps_log: bool
    #: More than one member can join a consumer group.
    shared_pools: bool
    #: Milliseconds that a fetch may wait; the embedded broker doesn't wake a waiting one.
    fetch_max_wait_ms: int
    #: Milliseconds of silence after which a group's member is gone; also bounds a rebalance.
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

#: The mock cluster in librdkafka: the real protocol on a loopback port, forgotten when it stops.
EMBEDDED = Broker(
    name="embedded",
    topic_admin=False,
    record_time=False,
    keeps_log=False,
    shared_pools=False,
    fetch_max_wait_ms=10,
    # Its first join takes 3 s, and a member with a shorter session is gone before that.
    session_timeout_ms=6_000,
)

BROKERS = {broker.name: broker for broker in (APACHE, EMBEDDED)}
