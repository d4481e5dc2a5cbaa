"""Reads all records of the topic, and writes them to a file for a report."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from fabric_jobs.facade.log import Record

READ_S = 300.0


async def read_topic(servers: str, topic: str) -> list[Record]:
    """All records of the topic, in order within each partition."""
    records: list[Record] = []
    # Without a group, all partitions are assigned.
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest"
    )
    async with asyncio.timeout(READ_S), consumer:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for partition, batch in (await consumer.getmany(timeout_ms=500)).items():
                records += [
                    Record(partition.partition, one.offset, one.timestamp, one.value, one.key)
                    for one in batch
                ]
    return records


def write_topic(path: Path, records: Sequence[Record]) -> None:
    """Write a line for each record: partition, offset and value."""
    with path.open("wb") as dump:
        for record in records:
            dump.write(b"%d %d %s\n" % (record.partition, record.offset, record.value or b""))
