"""The clients of the simulated Kafka: what the product uses of aiokafka's consumer and producer."""

import asyncio
from collections.abc import Iterable
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
    ProducerClosed,
)
from aiokafka.structs import ConsumerRecord, OffsetAndTimestamp

from tests.simulation.kafka import REQUEST_TIMEOUT_S, Group, KafkaCluster
from tests.simulation.loop import current_place, resolve


class _World(SimpleNamespace):
    cluster: KafkaCluster
    groups: dict[str, Group]


#: The cluster and the groups of the running world.
WORLD = _World()


class _Connections(dict[Any, Any]):
    """aiokafka's connections by the broker's number; the number stands for its connection."""

    def get(self, key: Any, default: Any = None) -> Any:
        return key[0]


class _Client:
    def __init__(self) -> None:
        self.place = current_place()
        self.cluster = WORLD.cluster
        self.loop = self.cluster.loop
        self.number = self.loop.next_number()
        self._closed = False
        #: What `connect_client` and `abandon_client` look for in aiokafka's clients.
        self._client = SimpleNamespace(_metadata_update=None, _conns=_Connections(), cluster=self)

    @property
    def is_closed(self) -> bool:
        return self._closed or not self.place.alive

    async def start(self) -> None:
        if self.cluster.open_at(self.place) > self.loop.time():
            await asyncio.sleep(self.cluster.dice.uniform(0.1, 2.0))
            raise KafkaConnectionError("simulated: no broker")
        await asyncio.sleep(2 * self.cluster.delay_s(self.place))

    async def _request(self, partition: TopicPartition | None = None) -> None:
        """Waits as a request and its answer take; raises aiokafka's error if that is too long."""
        begin = self.loop.time()
        while True:
            await asyncio.sleep(2 * self.cluster.delay_s(self.place))
            if self.is_closed:
                raise IllegalStateError("simulated: closed")
            open_at = self.cluster.open_at(self.place, partition)
            if open_at <= self.loop.time():
                return
            if open_at - begin > REQUEST_TIMEOUT_S:
                await asyncio.sleep(REQUEST_TIMEOUT_S)
                raise KafkaTimeoutError
            await asyncio.sleep(open_at - self.loop.time())


class SimulatedProducer(_Client):
    """Stands for `AIOKafkaProducer`."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self._waiting = 0

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[Any]:
        if self.is_closed:
            raise ProducerClosed
        acknowledged = self.loop.create_future()
        assert partition is not None
        record = key, value, tuple(headers or ())
        where = TopicPartition(topic, partition)
        self.cluster.produce(self.place, self, where, record, acknowledged)
        return acknowledged

    async def stop(self) -> None:
        await asyncio.sleep(self.cluster.delay_s(self.place))
        self._closed = True

    # The parts of aiokafka that the product reaches into when `stop` takes too long.
    @property
    def _sender(self) -> Any:
        return SimpleNamespace(close=self.stop)

    @property
    def client(self) -> Any:
        return SimpleNamespace(close=self.stop, _metadata_update=None)


class SimulatedConsumer(_Client):
    """Stands for `AIOKafkaConsumer`, with or without a group."""

    def __init__(self, *_: Any, group_id: str | None = None, **options: Any) -> None:
        super().__init__()
        self._context = copy_context()
        self._resets = options.get("auto_offset_reset") != "none"
        self.group = WORLD.groups[group_id] if group_id else None
        self._assignment: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        #: The leader of each partition, as the last answer of a broker has shown it.
        self._leaders: dict[TopicPartition, int] = {}
        #: The offset up to which records have arrived here.
        self._arrived: dict[TopicPartition, int] = {}
        #: The partitions whose position is out of range, as an answer of a broker has said.
        self._out_of_range: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._waiter: asyncio.Future[None] | None = None
        self.subscribed: list[str] = []
        self._listener: Any = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._coordinator = SimpleNamespace(member_id=f"member {self.number}")

    # Reading.

    def hear(self, partition: TopicPartition) -> None:
        """Hears that a partition has a new record, which then takes its way."""
        if partition in self._positions and not self.is_closed:
            self._fetch(partition)

    def forget(self, partition: TopicPartition) -> None:
        """Forgets the fetched records that the partition has lost, and fetches again.

        The position stays. If the partition has grown beyond it before the fetch reaches the
        broker, the consumer never sees the records that replace the lost ones, as with Kafka.
        """
        if partition in self._arrived:
            end = len(self.cluster.logs[partition])
            self._arrived[partition] = min(self._arrived[partition], end)
        if partition in self._positions and not self.is_closed:
            self._fetch(partition)

    def _fetch(self, partition: TopicPartition) -> None:
        open_at = self.cluster.open_at(self.place, partition)
        at = open_at + self.cluster.delay_s(self.place)
        self.loop.call_at(at, self._arrive, partition, context=self.loop.outside)

    def _arrive(self, partition: TopicPartition) -> None:
        if self.is_closed or partition not in self._positions:
            return
        if self.cluster.open_at(self.place, partition) > self.loop.time():
            self._fetch(partition)
            return
        end = len(self.cluster.logs[partition])
        self._leaders[partition] = self.cluster.leader(partition)
        position = self._positions[partition]
        if position > end or self.cluster.denies(self.place, partition, position):
            self._out_of_range.add(partition)
            if self._waiter:
                resolve(self._waiter, None)
        if end != self._arrived.get(partition):
            self._arrived[partition] = end
            if self._waiter:
                resolve(self._waiter, None)

    async def getmany(
        self, *_: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        found = self._take(max_records or 500)
        if not found and timeout_ms:
            self._waiter = self.loop.create_future()
            timer = self.loop.call_later(timeout_ms / 1000, resolve, self._waiter, None)
            try:
                await self._waiter
            finally:
                timer.cancel()
            found = self._take(max_records or 500)
        return found

    def _take(self, limit: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        partitions = [one for one in self._assignment if one not in self._paused]
        self.cluster.dice.shuffle(partitions)
        for partition in partitions:
            begin = self._positions[partition]
            end = min(self._arrived.get(partition, 0), begin + limit)
            log = self.cluster.logs[partition]
            if partition in self._out_of_range:
                if not self._resets:
                    raise OffsetOutOfRangeError({partition: begin})
                self._out_of_range.discard(partition)
                self._positions[partition] = 0
                continue
            if end > begin:
                found[partition] = [_record(partition, at, log[at]) for at in range(begin, end)]
                self._positions[partition] = end
                limit -= end - begin
            if limit <= 0:
                break
        return found

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        """The number of the partition's leader, if it is known."""
        return self._leaders.get(partition)

    async def getone(self, partition: TopicPartition) -> ConsumerRecord:
        await self._request(partition)
        at = self._positions[partition]
        if self.cluster.denies(self.place, partition, at):
            raise OffsetOutOfRangeError({partition: at})
        while at >= len(self.cluster.logs[partition]):
            await asyncio.sleep(0.1)
        self._positions[partition] = at + 1
        return _record(partition, at, self.cluster.logs[partition][at])

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._assignment = list(partitions)
        self._positions = dict.fromkeys(self._assignment, 0)
        self._arrived = {}
        self._out_of_range.clear()
        self.cluster.add_consumer(self)
        for partition in self._assignment:
            self._fetch(partition)

    def assignment(self) -> set[TopicPartition]:
        return set(self._assignment)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset
        self._out_of_range.discard(partition)

    async def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        await self._request()
        wanted = list(partitions)
        self._leaders.update({one: self.cluster.leader(one) for one in wanted})
        return dict.fromkeys(wanted, 0)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = list(partitions)
        last = max(wanted, key=lambda one: self.cluster.open_at(self.place, one), default=None)
        await self._request(last)
        return {partition: len(self.cluster.logs[partition]) for partition in wanted}

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        await self._request()
        found: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        for partition, time_ms in times.items():
            log = self.cluster.logs[partition]
            at = next((at for at, one in enumerate(log) if one.time_ms >= time_ms), None)
            found[partition] = None if at is None else OffsetAndTimestamp(at, log[at].time_ms)
        return found

    async def topics(self) -> set[str]:
        await self._request()
        return set(self.cluster.partitions)

    # The group.

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.subscribed = topics
        self._listener = listener

    async def start(self) -> None:
        await super().start()
        if self.group:
            self.group.join(self)

    @property
    def _own_group(self) -> Group:
        assert self.group is not None
        return self.group

    def revoke(self) -> asyncio.Task[Any]:
        """Makes the member give up its partitions."""
        return self.loop.create_task(self._revoke(), context=self._context.copy())

    async def _revoke(self) -> None:
        while self.cluster.open_at(self.place) > self.loop.time():
            await asyncio.sleep(self.cluster.open_at(self.place) - self.loop.time() + 0.1)
        if self.is_closed:
            return
        # If the group has removed this member meanwhile, the member notices it now.
        was_removed = self not in self._own_group.members
        await self._listener.on_partitions_revoked(self._assignment)
        self.assign(())
        if was_removed:
            self._own_group.join(self)

    def assign_share(self, partitions: list[TopicPartition]) -> None:
        """Gives the member its partitions."""
        self.loop.create_task(self._assign_share(partitions), context=self._context.copy())

    async def _assign_share(self, partitions: list[TopicPartition]) -> None:
        await asyncio.sleep(self.cluster.delay_s(self.place))
        if self.is_closed:
            return
        self.assign(partitions)
        for partition in partitions:
            self._positions[partition] = self._own_group.committed.get(partition, 0)
        self._paused.clear()
        await self._listener.on_partitions_assigned(partitions)

    async def committed(self, partition: TopicPartition) -> int | None:
        await self._request()
        return self._own_group.committed.get(partition)

    async def commit(self, positions: dict[TopicPartition, int]) -> None:
        await self._request()
        group = self._own_group
        if self not in group.members or not set(positions) <= set(self._assignment):
            raise CommitFailedError
        group.committed.update(positions)

    async def stop(self) -> None:
        if not self._closed:
            if self.group:
                self.group.leave(self)
            self._closed = True
            self.cluster.remove_consumer(self)
            await asyncio.sleep(self.cluster.delay_s(self.place))


def _record(partition: TopicPartition, offset: int, stored: Any) -> ConsumerRecord:
    return ConsumerRecord(
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        timestamp=stored.time_ms,
        timestamp_type=1,
        key=stored.key,
        value=stored.value,
        checksum=None,
        serialized_key_size=len(stored.key or b""),
        serialized_value_size=len(stored.value or b""),
        headers=stored.headers,
    )
