"""`python -m bench.seed SERVERS TOPIC JOBS`: writes a topic with a number of ended jobs.

Each job has three records as the lifecycle writes them: requested, started, completed.
"""

import sys
import uuid
from datetime import UTC, datetime

import msgspec
from confluent_kafka import Producer

from bench.ground import PARTITIONS, TENANT
from bench.handlers import ITEM_TYPE
from fabric_jobs.contract import events
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    Job,
    ReportCompleted,
    Request,
    Stamp,
    decide,
    fold,
)
from fabric_jobs.runtime.kafka.partitions import partition_of

HEADERS: list[tuple[str, str | bytes | None]] = [("content-type", events.CONTENT_TYPE.encode())]
JOB = str(uuid.UUID(int=1))
EVENTS = [str(uuid.UUID(int=number)) for number in (2, 3, 4)]


def _life() -> list[bytes]:
    """The events of one job's life, as a template for other ids."""
    commands: list[Command] = [
        Request(
            job_id=JOB,
            tenant_id=TENANT,
            workspace_id=str(uuid.UUID(int=5)),
            item_type=ITEM_TYPE,
            item_id=str(uuid.UUID(int=6)),
            job_type="nothing",
            invoke_type=InvokeType.MANUAL,
            request_hash="0" * 64,
            payload=b'{"sent":1}',
        ),
        Claim(job_id=JOB, attempt=1, executor_id="bench", dispatch_id=EVENTS[0], policy=Policy()),
        ReportCompleted(job_id=JOB, attempt=1, executor_id="bench"),
    ]
    values: list[bytes] = []
    job: Job | None = None
    for event_id, command in zip(EVENTS, commands, strict=True):
        event = decide(job, command, Stamp(event_id=event_id, source="/bench", time=_now()))
        assert isinstance(event, events.KnownEvent)
        values.append(events.encode(event))
        _, job = fold(job, event)
    return values


def _now() -> datetime:
    return datetime.now(UTC)


def seed(servers: str, topic: str, jobs: int) -> dict[str, int]:
    """Write the jobs' events; the number of records."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "none",
        }
    )
    life = _life()
    for number in range(jobs):
        job_id = str(uuid.uuid4())
        ids = [str(uuid.uuid4()) for _ in life]
        partition = partition_of(job_id, PARTITIONS)
        for value in life:
            text = value.replace(JOB.encode(), job_id.encode())
            for old, new in zip(EVENTS, ids, strict=True):
                text = text.replace(old.encode(), new.encode())
            while True:
                try:
                    producer.produce(topic, text, job_id, partition=partition, headers=HEADERS)
                    break
                except BufferError:
                    producer.poll(0.1)
        if not number % 1000:
            # The jobs have different times, as in production.
            life = _life()
            producer.poll(0)
    assert producer.flush(60) == 0
    return {"records": jobs * len(life)}


if __name__ == "__main__":
    print(msgspec.json.encode(seed(sys.argv[1], sys.argv[2], int(sys.argv[3]))).decode())
