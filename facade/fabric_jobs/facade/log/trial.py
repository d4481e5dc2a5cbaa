"""A topic tried before it is relied on: how it is replicated, and what the broker's clock says."""

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient

from fabric_jobs.facade.log.errors import LogUnavailableError
from fabric_jobs.facade.log.producer import Appender
from fabric_jobs.facade.log.topic import config_of
from fabric_jobs.runtime.kafka.clients import naming_denials
from fabric_jobs.runtime.settings import KafkaSettings

#: A record of a few bytes fits; what else the client adds to it does too.
RECORD_BYTES = 4096


class Replication(NamedTuple):
    """How a topic is replicated, by its worst partition."""

    replicas: int
    in_sync: int
    #: How many must be in sync for an append (`min.insync.replicas`).
    min_in_sync: int

    @property
    def faults(self) -> list[str]:
        """Why an append would not be taken now."""
        if self.min_in_sync > self.replicas:
            return [
                f"No append is ever taken: min.insync.replicas={self.min_in_sync}, and there are "
                f"{self.replicas}. Set it to {max(1, self.replicas - 1)}."
            ]
        if self.in_sync < self.min_in_sync:
            return [f"No append is taken now: {self.in_sync} in sync. Start the other brokers."]
        return []

    @property
    def risks(self) -> list[str]:
        """What is lost, or stands still, when a broker goes."""
        if self.replicas == 1:
            return ["A broker's disk is the limit: what it loses is lost. 3 replicas outlive it."]
        if self.min_in_sync == 1:
            return ["A job may be accepted by a single broker. Set min.insync.replicas=2."]
        if self.min_in_sync == self.replicas:
            return ["Nothing is accepted while a broker is away. Have one replica more."]
        return []


async def replication(
    admin: AIOKafkaAdminClient, topic: str, settings: KafkaSettings
) -> Replication:
    """The topic's replication; it exists. Raises `LogUnavailableError` and `KafkaRefusedError`."""
    (found,) = await admin.describe_topics([topic])
    if not found["partitions"]:
        # Made a moment ago, and not yet known to the broker that was asked.
        raise LogUnavailableError(f"The topic {topic} is being made.")
    configs = await config_of(admin, topic, settings)
    return Replication(
        replicas=min(len(partition["replicas"]) for partition in found["partitions"]),
        in_sync=min(len(partition["isr"]) for partition in found["partitions"]),
        min_in_sync=int(configs["min.insync.replicas"]),
    )


async def recorded_time(settings: KafkaSettings, topic: str, value: bytes) -> datetime:
    """The broker's time of a record that is appended for it.

    Raises `LogUnavailableError` and `KafkaRefusedError`.
    """
    appender = Appender(settings, topic, RECORD_BYTES)

    async def append() -> Any:
        return await (await appender.append(0, b"", value, []))

    running = asyncio.create_task(appender.run(), name="append a trial")
    appending = asyncio.create_task(append(), name="the trial")
    try:
        await asyncio.wait([running, appending], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()  # raises why there is nothing to append by
        with naming_denials(settings, "Write", topic):
            taken = appending.result()
    finally:
        running.cancel()
        appending.cancel()
        await asyncio.wait([running, appending])
    return datetime.fromtimestamp(taken.timestamp / 1000, UTC)
