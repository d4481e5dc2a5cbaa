"""Checks of a topic before it is used: its replication, and the broker's clock."""

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient

from fabric_jobs.facade.log.codes import RecordCodes
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.facade.log.topic import describe_config, new_topic_error
from fabric_jobs.runtime.kafka.clients import map_authorization_errors
from fabric_jobs.runtime.settings import KafkaSettings


class Replication(NamedTuple):
    """The replication of a topic: each number of replicas is the lowest of its partitions."""

    #: The number of partitions.
    partitions: int
    #: The number of replicas.
    replicas: int
    #: The number of replicas that are in sync now.
    in_sync: int
    #: The number that must be in sync for an append (`min.insync.replicas`).
    min_in_sync: int

    @property
    def faults(self) -> list[str]:
        """The reasons, as sentences, why the brokers refuse an append now; empty if they accept."""
        if self.min_in_sync > self.replicas:
            return [
                f"No append is ever accepted: min.insync.replicas={self.min_in_sync}, but there "
                f"are {self.replicas} replicas. Set it to {max(1, self.replicas - 1)}."
            ]
        if self.in_sync < self.min_in_sync:
            return [
                f"No append is accepted now: {self.in_sync} replicas are in sync, and "
                f"min.insync.replicas={self.min_in_sync}. Start the other brokers."
            ]
        return []

    @property
    def risks(self) -> list[str]:
        """What is lost or stops when one broker fails, as sentences; empty if nothing is."""
        if self.replicas == 1:
            return ["The topic is lost if the only replica's disk is lost. Use 3 replicas."]
        if self.min_in_sync == 1:
            return [
                "A record may be accepted by a single broker, and lost. Set min.insync.replicas=2."
            ]
        if self.min_in_sync == self.replicas:
            return ["No record is accepted while a broker is away. Add a replica."]
        return []


async def describe_replication(
    admin: AIOKafkaAdminClient, topic: str, settings: KafkaSettings
) -> Replication:
    """The replication of an existing topic.

    Raises `LogUnavailableError` if the asked broker can't tell it, and `KafkaRefusedError` if an
    ACL is missing.
    """
    (found,) = await admin.describe_topics([topic])
    if not found["partitions"]:
        raise new_topic_error(topic)
    configs = await describe_config(admin, topic, settings)
    return Replication(
        partitions=len(found["partitions"]),
        replicas=min(len(partition["replicas"]) for partition in found["partitions"]),
        in_sync=min(len(partition["isr"]) for partition in found["partitions"]),
        min_in_sync=int(configs["min.insync.replicas"]),
    )


async def read_broker_time(
    settings: KafkaSettings, topic: str, codes: RecordCodes | None = None
) -> datetime:
    """Appends an empty record to partition 0, and returns the broker's time of it (UTC).

    Raises `LogUnavailableError` if the append fails, and `KafkaRefusedError` if an ACL is missing.
    """
    appender = Appender(settings, topic, 0, codes)

    async def append() -> Any:
        return await (await appender.append(0, b"", b"", []))

    running = asyncio.create_task(appender.run(), name="run the appender")
    appending = asyncio.create_task(append(), name="append a record")
    try:
        await asyncio.wait([running, appending], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()  # raises the error that ended the appender
        with map_authorization_errors(settings, "Write", topic):
            metadata = appending.result()
    finally:
        running.cancel()
        appending.cancel()
        await asyncio.wait([running, appending])
    return datetime.fromtimestamp(metadata.timestamp / 1000, UTC)
