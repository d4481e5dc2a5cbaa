"""Records that a topic should not hold: a running facade skips, counts and logs them."""

import asyncio
import re

from aiokafka import AIOKafkaProducer

from fabric_jobs.contract import events
from fabric_jobs.runtime.kafka.partitions import partition_of
from tests.support.brokers import SERVERS, Cluster
from tests.support.programs import PARTITIONS, Fabric, facade, new_id, read_page
from tests.support.topic import topic_of

POISON = re.compile(r'^fabric_jobs_poison_records_total\{topic="(\w+)"\} (\d+)', re.MULTILINE)


async def test_junk_on_each_topic_is_counted_by_topic_and_stops_nothing(
    apache: Cluster, topic: str
) -> None:
    """A whole event under another job's key or in another partition is junk, too."""
    environment = apache.environment(topic)
    job_id, other_id = new_id(), new_id()
    far = (partition_of(job_id, PARTITIONS) + 1) % PARTITIONS
    async with facade(**environment) as running, Fabric(running, "nobody-runs") as fabric:
        assert (await fabric.create(job_id)).status_code == 202
        async with topic_of(environment) as log:
            (event,) = await log.events_of(job_id)
        value = events.encode(event)
        stray = events.encode(event).replace(job_id.encode(), other_id.encode())
        records = [
            ("EVENTS", other_id, value, partition_of(other_id, PARTITIONS)),
            ("EVENTS", job_id, value, far),
            ("EVENTS", other_id, stray, (partition_of(other_id, PARTITIONS) + 1) % PARTITIONS),
            ("HEARTBEATS", "junk", b"junk", 0),
            ("CONTROLS", "junk", b"junk", 0),
            ("CONTROLS", "empty", b"", 0),
        ]
        async with AIOKafkaProducer(bootstrap_servers=environment[SERVERS]) as producer:
            for name, key, junk, partition in records:
                target = environment[f"FABRIC_JOBS_{name}_TOPIC"]
                await producer.send_and_wait(target, junk, key=key.encode(), partition=partition)
        counted: dict[str, str] = {}
        async with asyncio.timeout(30):
            while counted != {"events": "3", "heartbeats": "1", "controls": "1"}:
                counted = dict(POISON.findall(await read_page(running, "/metrics")))
                await asyncio.sleep(0.1)

        assert (await fabric.state(job_id)).json()["status"] == "NotStarted"
        assert (await fabric.state(other_id)).status_code == 404
        assert (await fabric.create(new_id())).status_code == 202
