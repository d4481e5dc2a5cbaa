"""A facade's answers while Kafka is away, and afterwards."""

import asyncio
import sys
import time
from pathlib import Path

import httpx

from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.brokers import Cluster, delete_topic
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id, program
from tests.support.requirements import no_apache_kafka


def reason_of(answer: httpx.Response) -> str:
    """Why the facade could not answer; the other detail has the request's ids."""
    (detail,) = (
        each for each in answer.json()["moreDetails"] if each["errorCode"] == "UnavailableReason"
    )
    (parameter,) = detail["additionalParameters"]
    return str(parameter["value"])


async def test_facade_with_kafka_away_answers_503_in_time_and_recovers(tmp_path: Path) -> None:
    """Creates and unknown ids get 503 with Retry-After; known jobs are read; all recovers."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with ApacheKafka(tmp_path) as kafka:
        environment = Cluster(kafka.bootstrap_servers, APACHE).environment("test.away")
        async with (
            facade(**environment) as replica,
            executor(HANDLERS, replica, **environment),
            Fabric(replica) as fabric,
        ):
            known, asked, after = new_id(), new_id(), new_id()
            await fabric.create(known)
            completed = await fabric.until(known, "Completed")
            kafka.kill(0)
            begun = time.monotonic()
            refused, missed = await asyncio.gather(fabric.create(asked), fabric.state(new_id()))
            took_s = time.monotonic() - begun
            read = await fabric.state(known)
            await asyncio.to_thread(kafka.restart, 0)
            async with asyncio.timeout(60):
                while (await fabric.create(after)).status_code != 202:
                    await asyncio.sleep(0.1)
            repeated = await fabric.create(asked)
            ends = [
                await fabric.until(job_id, "Completed", within_s=60) for job_id in (asked, after)
            ]

    assert refused.status_code == missed.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert refused.json()["errorCode"] == "Unavailable"
    assert refused.json()["isPermanent"] is False
    assert reason_of(refused) == "OUTCOME_UNKNOWN"
    assert reason_of(missed) == "LOG_UNREACHABLE"
    # The append deadline is 3 s. The other 3 s are for a busy machine.
    assert took_s < 6
    assert read.json() == completed
    assert repeated.status_code == 202
    assert all(end["startTimeUtc"] <= end["endTimeUtc"] for end in ends)


async def test_facade_without_its_topic_logs_few_lines_that_name_the_topic(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """aiokafka alone would log over a thousand lines a second and take half a processor."""
    log, environment = tmp_path / "log", apache.environment(topic)
    command = (sys.executable, "-m", "fabric_jobs.facade")
    settings = environment | {
        "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_AUTHENTICATION": "off",
        "FABRIC_JOBS_CREATE_TOPICS": "true",
        "FABRIC_JOBS_EVENTS_PARTITIONS": "4",
    }
    with log.open("wb") as stderr:
        async with program(*command, environment=settings, stderr=stderr) as replica:
            await delete_topic(apache, topic)
            async with asyncio.timeout(60):
                while f"The topic {topic} does not exist" not in log.read_text():
                    await asyncio.sleep(0.1)
            assert replica.process.returncode is None

    lines = log.read_text().splitlines()
    assert sum("aiokafka" in line for line in lines) <= 2
    assert len(lines) <= 12
