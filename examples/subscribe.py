"""Reads every job's events from the topic, and prints a line for each event that counts."""

import asyncio
import json
import os
from collections import defaultdict

from aiokafka import AIOKafkaConsumer

SERVERS = os.environ.get("FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = os.environ.get("FABRIC_JOBS_EVENTS_TOPIC", "fabric.jobs.events")
KEPT_MS = 8 * 24 * 60 * 60 * 1000


async def main() -> None:
    # By partition and job id, the oldest job first: the sequence and the id of its last event,
    # whether it has ended, and when it began.
    partitions: defaultdict[int, dict[str, tuple[int, str | None, bool, int]]] = defaultdict(dict)
    # Without a consumer group it reads every partition from its first record.
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=SERVERS, auto_offset_reset="earliest")
    async with consumer:
        async for record in consumer:
            try:
                event = json.loads(record.value)
                job_id, event_id, data = str(event["subject"]), event["id"], event["data"]
                sequence, follows = data["sequence"], data["follows"]
                phase, status = data["state"]["phase"], data["state"]["status"]
                line = f"{job_id} {sequence} {event['type']} {status}"
                key = job_id.encode()
            except (TypeError, ValueError, LookupError, RecursionError):
                continue  # not an event: it is skipped
            if record.key != key:
                continue  # no facade takes it
            jobs = partitions[record.partition]
            while jobs and jobs[oldest := next(iter(jobs))][3] + KEPT_MS <= record.timestamp:
                del jobs[oldest]
            last, last_id, ended, begun_ms = jobs.get(job_id, (0, None, False, record.timestamp))
            if (sequence, follows) != (last + 1, last_id) or ended:
                continue  # a duplicate, or the loser of a race
            jobs[job_id] = sequence, event_id, phase == "Ended", begun_ms
            print(line, flush=True)


asyncio.run(main())
