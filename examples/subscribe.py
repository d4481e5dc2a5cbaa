"""Reads every job's events from the topic, and prints a line for each event that applies."""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer

SERVERS = os.environ.get("FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = os.environ.get("FABRIC_JOBS_EVENTS_TOPIC", "fabric.jobs.events")
KEPT_MS = 8 * 24 * 60 * 60 * 1000


async def main() -> None:
    # By job id, the oldest job first: its last sequence, whether it has ended, and when it began.
    jobs: dict[str, tuple[int, bool, int]] = {}
    # Without a consumer group it reads every partition from its first record.
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=SERVERS, auto_offset_reset="earliest")
    async with consumer:
        async for record in consumer:
            try:
                event = json.loads(record.value)
                job_id, data = event["subject"], event["data"]
                sequence, state = data["sequence"], data["state"]
            except (TypeError, ValueError, LookupError):
                continue  # not an event: it is skipped
            if record.key != str(job_id).encode():
                continue  # no facade takes it
            while jobs and jobs[oldest := next(iter(jobs))][2] + KEPT_MS <= record.timestamp:
                del jobs[oldest]
            last, ended, begun_ms = jobs.get(job_id, (0, False, record.timestamp))
            if sequence != last + 1 or ended:
                continue  # a duplicate, or the loser of a race
            jobs[job_id] = sequence, state["phase"] == "Ended", begun_ms
            print(job_id, sequence, event["type"], state["status"], flush=True)


asyncio.run(main())
