"""A Kafka cluster in memory: topics, the way to them, and consumer groups.

It keeps what Kafka promises to an idempotent producer with acks=all: the records of one producer
keep their order in a partition, and a record that was acknowledged stays. What it may do otherwise
is up to the faults: delay, refuse, lose an acknowledgement, or append after everybody gave up.
"""

import asyncio
from collections import Counter, defaultdict
from random import Random
from typing import Any, NamedTuple

from aiokafka.errors import KafkaTimeoutError, NotLeaderForPartitionError
from aiokafka.structs import RecordMetadata, TopicPartition

from tests.simulation.loop import Place, SimulatedLoop, fail, resolve
from tests.simulation.substitutes import CLOCK

EVENTS, HEARTBEATS, CONTROLS = (
    "fabric.jobs.events",
    "fabric.jobs.heartbeats",
    "fabric.jobs.controls",
)
#: Seconds after which a producer gives up a request.
REQUEST_TIMEOUT_S = 40.0
#: The range of delays of a message, in seconds.
DELAY_S = (0.0005, 0.003)


class Stored(NamedTuple):
    """A record of a partition; its offset is its index."""

    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Link:
    """The way between one node and the brokers."""

    def __init__(self) -> None:
        #: The time until which nothing passes.
        self.cut_until = 0.0
        self.delay_s = DELAY_S


class KafkaCluster:
    """All topics of a world."""

    def __init__(self, loop: SimulatedLoop, dice: Random, partitions: dict[str, int]) -> None:
        self.loop = loop
        self.dice = dice
        self.cluster_id = "simulated"
        self.logs: dict[TopicPartition, list[Stored]] = {
            TopicPartition(topic, number): []
            for topic, count in partitions.items()
            for number in range(count)
        }
        self.partitions = partitions
        self.links: defaultdict[str, Link] = defaultdict(Link)
        #: The time until which a partition has no leader.
        self.leaderless_until: dict[TopicPartition, float] = {}
        #: How often each partition got a new leader.
        self.elections: Counter[TopicPartition] = Counter()
        #: How many of the next appends meet each misfortune.
        self.misfortunes: Counter[str] = Counter()
        #: How often each misfortune happened.
        self.happened: Counter[str] = Counter()
        self._consumers: dict[int, Any] = {}
        #: Per node, the time until which brokers tell it that its offsets are out of range, and
        #: the partitions for which they do.
        self._denied: dict[str, tuple[float, set[TopicPartition]]] = {}
        self._append_at: dict[tuple[int, TopicPartition], float] = {}

    @property
    def consumers(self) -> list[Any]:
        """The consumers that read, in the order in which they were created.

        A set would have another order in each process, because its order depends on addresses.
        """
        return [self._consumers[number] for number in sorted(self._consumers)]

    def add_consumer(self, consumer: Any) -> None:
        """Adds a consumer that reads from now on, unless it was added before."""
        self._consumers[consumer.number] = consumer

    def remove_consumer(self, consumer: Any) -> None:
        """Removes a consumer, if it is here."""
        self._consumers.pop(consumer.number, None)

    def delay_s(self, place: Place) -> float:
        """Returns the seconds that a message between the node and a broker takes."""
        return self.dice.uniform(*self.links[place.name].delay_s)

    def leader(self, partition: TopicPartition) -> int:
        """Returns the number of the partition's leader: each election is of a new one."""
        return 1 + self.elections[partition]

    def deny(self, node: str, partitions: set[TopicPartition], seconds: float) -> None:
        """Makes brokers tell a node for some seconds that its offsets are out of range."""
        self._denied[node] = self.loop.time() + seconds, partitions
        for consumer in self.consumers:
            if consumer.place.name == node:
                for partition in sorted(partitions):
                    consumer.hear(partition)

    def denies(self, place: Place, partition: TopicPartition, offset: int) -> bool:
        """Returns whether a broker tells the node now that this offset is out of range."""
        until, partitions = self._denied.get(place.name, (0.0, ()))
        return self.loop.time() < until and partition in partitions and offset > 0

    def open_at(self, place: Place, partition: TopicPartition | None = None) -> float:
        """Returns when a message of the node can reach the partition's leader."""
        leaderless = self.leaderless_until.get(partition, 0.0) if partition else 0.0
        return max(self.links[place.name].cut_until, leaderless, self.loop.time())

    def produce(
        self,
        place: Place,
        producer: Any,
        partition: TopicPartition,
        record: tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]],
        acknowledged: asyncio.Future[Any],
    ) -> None:
        """Sends a record to its partition; the future gets the acknowledgement or an error."""
        misfortune = self._take_misfortune(partition)
        at = self.open_at(place, partition) + self.delay_s(place)
        if misfortune == "late append":
            at += self.dice.uniform(3.5, 15.0)
        key = producer.number, partition
        at = self._append_at[key] = max(at, self._append_at.get(key, 0.0))

        def arrive() -> None:
            if (retry_at := self.open_at(place, partition)) > self.loop.time():
                if producer.is_closed:
                    self.happened["lost in flight"] += 1
                    return
                self._append_at[key] = max(self._append_at[key], retry_at)
                self.loop.call_at(retry_at + 0.01, arrive, context=self._outside)
                return
            if producer.is_closed and self.dice.random() < 0.5:
                self.happened["lost in flight"] += 1
                return
            if misfortune == "refused append":
                self._answer(place, producer, acknowledged, NotLeaderForPartitionError())
                return
            offset, time_ms = self.append(partition, *record)
            if misfortune == "duplicate":
                delay_s = self.dice.uniform(0, 2)
                self.loop.call_later(
                    delay_s, self.append, partition, *record, context=self._outside
                )
            if misfortune == "lost acknowledgement":
                error = KafkaTimeoutError()
                self.loop.call_later(
                    REQUEST_TIMEOUT_S, fail, acknowledged, error, context=self._outside
                )
            elif misfortune == "failed after append":
                self._answer(place, producer, acknowledged, NotLeaderForPartitionError())
            else:
                result = RecordMetadata(
                    partition.topic, partition.partition, partition, offset, time_ms, 1, 0
                )
                late_s = self.dice.uniform(0.2, 8.0) if misfortune == "late acknowledgement" else 0
                self._answer(place, producer, acknowledged, result, late_s)

        self.loop.call_at(at, arrive, context=self._outside)

    def append(
        self,
        partition: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...],
    ) -> tuple[int, int]:
        """Appends a record; returns its offset and the broker's time."""
        log = self.logs[partition]
        time_ms = int(CLOCK.true_time() * 1000)
        log.append(Stored(time_ms, key, value, headers))
        self.loop.mark(partition.topic, partition.partition, len(log), value)
        for consumer in self.consumers:
            consumer.hear(partition)
        return len(log) - 1, time_ms

    def lose(self, partition: TopicPartition, count: int) -> list[Stored]:
        """Removes the last records of a partition, as an unclean leader election does.

        Returns them. A consumer notices nothing before it asks for records beyond the new end.
        """
        log = self.logs[partition]
        lost = log[max(0, len(log) - count) :]
        del log[len(log) - len(lost) :]
        self.elections[partition] += 1
        for consumer in self.consumers:
            consumer.forget(partition)
        return lost

    @property
    def _outside(self) -> Any:
        return self.loop.outside

    def _take_misfortune(self, partition: TopicPartition) -> str:
        if partition.topic.endswith(("heartbeats", "controls")) or not self.misfortunes:
            return ""
        name = self.dice.choice(sorted(self.misfortunes))
        self.misfortunes[name] -= 1
        if not self.misfortunes[name]:
            del self.misfortunes[name]
        self.happened[name] += 1
        return name

    def _answer(
        self,
        place: Place,
        producer: Any,
        acknowledged: asyncio.Future[Any],
        result: Any,
        late_s: float = 0.0,
    ) -> None:
        def arrive() -> None:
            if (open_at := self.open_at(place)) > self.loop.time():
                self.loop.call_at(open_at + 0.01, arrive, context=self._outside)
            elif not producer.is_closed and isinstance(result, Exception):
                fail(acknowledged, result)
            elif not producer.is_closed:
                resolve(acknowledged, result)

        self.loop.call_later(self.delay_s(place) + late_s, arrive, context=self._outside)


class Group:
    """A consumer group: its members, and who reads which partition.

    A rebalance asks every member to give up its partitions first. A member that does not answer
    for a session timeout is removed, and reads on as a zombie until it notices.
    """

    def __init__(self, cluster: KafkaCluster, session_timeout_s: float) -> None:
        self.cluster = cluster
        self.session_timeout_s = session_timeout_s
        self.members: list[Any] = []
        #: The committed position of each partition.
        self.committed: dict[TopicPartition, int] = {}
        self._wanted = asyncio.Event()

    def join(self, member: Any) -> None:
        """Adds a member, and begins a rebalance."""
        self.members.append(member)
        self._wanted.set()

    def leave(self, member: Any) -> None:
        """Removes a member, if it still is one, and begins a rebalance."""
        if member in self.members:
            self.members.remove(member)
            self._wanted.set()

    async def run(self) -> None:
        """Rebalances whenever members change."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self.cluster.dice.uniform(0.05, 1.0))
            self._wanted.clear()
            members = sorted(self.members, key=lambda one: one.number)
            revoking = {member: member.revoke() for member in members}
            if revoking:
                await asyncio.wait(list(revoking.values()), timeout=self.session_timeout_s)
            for member, task in revoking.items():
                if not task.done() and member in self.members:
                    self.members.remove(member)
            if self._wanted.is_set():
                continue
            members = sorted(self.members, key=lambda one: one.number)
            topics = {topic for member in members for topic in member.subscribed}
            partitions = sorted(one for one in self.cluster.logs if one.topic in topics)
            shares: dict[Any, list[TopicPartition]] = {member: [] for member in members}
            for index, partition in enumerate(partitions):
                if members:
                    shares[members[index % len(members)]].append(partition)
            for member, share in shares.items():
                member.assign_share(share)
