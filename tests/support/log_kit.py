"""What the log's tests share: a reader that remembers, and a log that runs for a while."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from fabric_jobs.facade.log import Checkpoint, Log, Reader, Record, TopicSpec
from fabric_jobs.runtime.settings import KafkaSettings
from tests.conftest import Cluster

DAY_MS = 86_400_000


class Memory:
    """A reader that keeps what it was given."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.resets = 0
        self._checkpoints: dict[int, Checkpoint] = {}

    def checkpoints(self) -> dict[int, Checkpoint]:
        """How far it is."""
        return dict(self._checkpoints)

    def apply(self, records: Sequence[Record], positions: dict[int, int]) -> None:
        """Keeps the records."""
        self.records += records
        for record in records:
            self._checkpoints[record.partition] = Checkpoint(
                positions[record.partition], record.offset, record.checksum
            )

    def reset(self) -> None:
        """Forgets the records."""
        self.records.clear()
        self._checkpoints.clear()
        self.resets += 1

    @property
    def values(self) -> list[bytes | None]:
        """The records' values, in the order in which they came."""
        return [record.value for record in self.records]


def settings(cluster: Cluster, topic: str) -> KafkaSettings:
    """What points a log at the broker."""
    return KafkaSettings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        kafka_broker="embedded" if cluster.broker.name == "embedded" else "apache",
        events_topic=topic,
    )


def spec(topic: str, *, partitions: int = 4, create: bool = True) -> TopicSpec:
    """What the topic must be."""
    return TopicSpec(
        name=topic,
        partitions=partitions,
        exact_partitions=True,
        min_retention_ms=16 * DAY_MS,
        retention_ms=17 * DAY_MS,
        max_record_bytes=300_000,
        create=create,
    )


@asynccontextmanager
async def running(cluster: Cluster, topic: str, reader: Reader) -> AsyncIterator[Log]:
    """A log that has caught up."""
    log = Log(settings(cluster, topic), spec(topic))
    await log.connect()
    task = asyncio.create_task(log.run(reader))
    try:
        async with asyncio.timeout(30):
            await log.catch_up()
        yield log
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def put(log: Log, partition: int, *values: bytes) -> None:
    """Appends, and waits until Kafka has acknowledged."""
    for value in values:
        async with asyncio.timeout(10):
            await (await log.append(partition, b"key", value, []))
