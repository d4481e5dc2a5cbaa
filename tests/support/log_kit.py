"""Helpers for tests of the log: a reader that records, and a log that runs for a block."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from fabric_jobs.facade.log import Checkpoint, Log, Reader, Record, TopicSpec
from fabric_jobs.runtime.settings import KafkaSettings
from tests.support.brokers import Cluster

DAY_MS = 86_400_000


class RecordingReader:
    """A reader that keeps the records that it gets, and counts its resets."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.resets = 0
        self._checkpoints: dict[int, Checkpoint] = {}

    def checkpoints(self) -> dict[int, Checkpoint]:
        """The checkpoint after the last record of each partition."""
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
        """The values of the records, in the order in which the reader got them."""
        return [record.value for record in self.records]


def kafka_settings(cluster: Cluster, topic: str) -> KafkaSettings:
    """The settings of a log with this topic on the cluster."""
    return KafkaSettings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        kafka_broker="embedded" if cluster.broker.name == "embedded" else "apache",
        events_topic=topic,
    )


def topic_spec(topic: str, *, partitions: int = 4, create: bool = True) -> TopicSpec:
    """The requirements of a test's topic."""
    return TopicSpec(
        name=topic,
        partitions=partitions,
        exact_partitions=True,
        partitions_setting="FABRIC_JOBS_EVENTS_PARTITIONS",
        min_retention_ms=16 * DAY_MS,
        min_retention_reason="the test needs them",
        retention_ms=17 * DAY_MS,
        max_record_bytes=300_000,
        create=create,
    )


@asynccontextmanager
async def open_log(
    cluster: Cluster, topic: str, reader: Reader, *, partitions: int = 4
) -> AsyncIterator[Log]:
    """A log that was read to its end and keeps running to the end of the block."""
    log = Log(kafka_settings(cluster, topic), topic_spec(topic, partitions=partitions))
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


async def append_records(log: Log, partition: int, *values: bytes, key: str = "key") -> None:
    """Appends the values one by one, each acknowledged by Kafka before the next."""
    for value in values:
        async with asyncio.timeout(10):
            await (await log.append(partition, key.encode(), value, []))
