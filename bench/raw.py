"""`python -m bench.raw hop|replay SERVERS TOPIC`: the lower bound, set by Kafka's client alone.

`hop` sends records one by one and times each from its send to its arrival at a consumer in the same
loop. The idle measurement pauses between two records as the figures of idle services do, because
client, broker and machine are less than half as fast after a sleep. The busy one does not pause.
`replay` reads and decodes the whole topic, and stores nothing.
"""

import asyncio
import sys
import time
from statistics import median

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.ground import PARTITIONS
from fabric_jobs.contract import events

HOPS = 100
WARM_UP = 20
#: Milliseconds between two records, or two starts, of an idle service.
IDLE_PAUSE_MS = 20
#: About the size of an event.
VALUE = b"x" * 900


def _consumer(servers: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )


async def hop(servers: str, topic: str) -> dict[str, float]:
    """The medians of the times of one record, from its send to its reading."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0
    )
    consumer = _consumer(servers)
    await producer.start()
    await consumer.start()
    try:
        assignment = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(assignment)
        await consumer.seek_to_end(*assignment)
        ways = {}
        for name, pause_ms in (("busy_hop_ms", 0), ("hop_ms", IDLE_PAUSE_MS)):
            hops = []
            for count in range(WARM_UP + HOPS):
                hops.append(await _hop(producer, consumer, topic, count))
                await asyncio.sleep(pause_ms / 1e3)
            ways[name] = median(hops[WARM_UP:]) * 1e3
    finally:
        await consumer.stop()
        await producer.stop()
    return ways


async def _hop(
    producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, topic: str, count: int
) -> float:
    begun = time.perf_counter()
    acknowledged = await producer.send(topic, VALUE, partition=count % PARTITIONS)
    await consumer.getone()
    took = time.perf_counter() - begun
    await acknowledged
    return took


async def replay(servers: str, topic: str) -> dict[str, float]:
    """Records read per second, and their number."""
    consumer = _consumer(servers)
    await consumer.start()
    try:
        assignment = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(assignment)
        left = sum((await consumer.end_offsets(assignment)).values())
        total, begun = left, time.perf_counter()
        await consumer.seek_to_beginning(*assignment)
        while left:
            for records in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
                left -= len(records)
                for record in records:
                    events.decode_record(record.key, record.value)
        return {"records": total, "seconds": time.perf_counter() - begun}
    finally:
        await consumer.stop()


if __name__ == "__main__":
    action = {"hop": hop, "replay": replay}[sys.argv[1]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(action(*sys.argv[2:]))).decode())
