"""One partition of a topic, kept in memory, and aiokafka's consumer of it."""

import asyncio
from types import SimpleNamespace

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, OffsetAndTimestamp

from fabric_jobs.facade.log.acknowledged import AppendedRecord

TOPIC = TopicPartition("t", 0)


class Broker:
    """A partition of one replica: the records, each with the broker's time."""

    def __init__(self) -> None:
        self.records: list[AppendedRecord] = []
        self.appends = 0
        #: The number of the leader.
        self.leader = 1
        self.lost: AppendedRecord | None = None
        #: Whether a broker answers the next fetch that led the partition, and lost its power.
        self.is_behind = False
        #: Set when that broker has answered.
        self.told = asyncio.Event()

    def append(self) -> AppendedRecord:
        """Appends a record that has no equal."""
        self.appends += 1
        offset, value = len(self.records), b"%d" % self.appends
        record = AppendedRecord("t", 0, offset, 1000 + self.appends, b"key", value, ())
        self.records.append(record)
        return record

    def lose(self) -> None:
        """Elects a leader that lacks the last record."""
        self.lost = self.records.pop()
        self.leader += 1


class Consumer:
    """aiokafka's consumer of this partition; each poll brings one record."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.at = 0
        self._client = SimpleNamespace(cluster=self, _conns=self)

    def leader_for_partition(self, _: TopicPartition) -> int:
        return self.broker.leader

    def get(self, key: tuple[int, int]) -> int:
        """The connection to a broker, for which its number stands."""
        return key[0]

    async def getmany(self, **_: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        if self.broker.is_behind:
            self.broker.is_behind = False
            self.broker.told.set()
            raise OffsetOutOfRangeError({TOPIC: self.at})
        if self.at > len(self.broker.records):
            raise OffsetOutOfRangeError({TOPIC: self.at})
        if self.at == len(self.broker.records):
            return {}
        return {TOPIC: [await self.getone(TOPIC)]}

    async def getone(self, _: TopicPartition) -> ConsumerRecord:
        found = self.broker.records[self.at]
        self.at += 1
        value = found.value
        return ConsumerRecord(
            "t", 0, found.offset, found.timestamp, 1, found.key, value, None, 3, len(value), ()
        )

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def beginning_offsets(self, read: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(read, 0)

    async def end_offsets(self, read: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(read, len(self.broker.records))

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        (since_ms,) = times.values()
        young = [record for record in self.broker.records if record.timestamp >= since_ms]
        at = OffsetAndTimestamp(young[0].offset, young[0].timestamp) if young else None
        return dict.fromkeys(times, at)

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    def assign(self, _: list[TopicPartition]) -> None:
        """The partition is always assigned."""
