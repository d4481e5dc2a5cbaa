"""`python -m bench.floor`: the least that an accepted, durable create can cost in this shape.

The route and its decoding are the product's. A create is accepted once Kafka has acknowledged one
record of about an event's size, by aiokafka's producer as the facade sets it. There is no
authentication, no decision, no fold and no span.
"""

import asyncio
import os

import uvloop
from aiokafka import AIOKafkaProducer

from bench.bare import STORED, Nowhere, serve
from bench.ground import PARTITIONS
from bench.raw import VALUE
from fabric_jobs.facade.lifecycle import Command
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.garbage import tune_garbage_collection
from fabric_jobs.runtime.kafka.partitions import partition_of
from fabric_jobs.runtime.settings import from_env


class OneSend(Nowhere):
    """A stand-in for jobs that sends one record for each command."""

    def __init__(self, settings: FacadeSettings, producer: AIOKafkaProducer) -> None:
        super().__init__(settings)
        self._producer = producer
        self._topic = settings.events_topic

    async def execute(self, command: Command, read_to: int | None = None) -> StoredJob:
        """Send the record, and wait for its acknowledgement."""
        partition = partition_of(command.job_id, PARTITIONS)
        key = command.job_id.encode()
        await self._producer.send_and_wait(self._topic, VALUE, key, partition)
        return STORED


async def main(settings: FacadeSettings) -> None:
    """Serve until cancelled."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
    )
    await producer.start()
    try:
        await serve("floor", settings, OneSend(settings, producer))
    finally:
        await producer.stop()


if __name__ == "__main__":
    tune_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(from_env(FacadeSettings, os.environ)))
