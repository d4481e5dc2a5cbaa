"""The replication of the topic, which is the only copy of the jobs, on three brokers."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from fabric_jobs.runtime.kafka.brokers import APACHE
from tests.support.apache_kafka import ApacheKafka, why_unavailable
from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, PARTITIONS, Fabric, executor, facade, new_id
from tests.support.requirements import no_apache_kafka

BROKERS = 3
LOST = 0
JOBS = 50


async def described(kafka: ApacheKafka, topic: str) -> dict[str, Any]:
    """The topic's partitions, each with its leader and replicas."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return dict(found)


async def test_broker_lost_with_its_disk_loses_no_job(tmp_path: Path) -> None:
    """After kill -9 and the loss of its folder, a replica that starts anew knows each job."""
    if reason := why_unavailable():
        no_apache_kafka(reason)
    with ApacheKafka(tmp_path, brokers=BROKERS) as kafka:
        environment = Cluster(kafka.bootstrap_servers, APACHE).environment("test.replication")
        job_ids = [new_id() for _ in range(JOBS)]
        async with facade(**environment) as one, Fabric(one) as fabric:
            topic = await described(kafka, "test.replication")
            for job_id in job_ids:
                assert (await fabric.create(job_id)).status_code == 202
            kafka.kill(LOST)
            shutil.rmtree(tmp_path / f"broker-{LOST}")
            after = new_id()
            async with asyncio.timeout(60):
                while (await fabric.create(after)).status_code != 202:
                    await asyncio.sleep(0.1)
            await one.kill()
        async with facade(**environment) as two, Fabric(two) as fabric:
            known = [(await fabric.state(job_id)).status_code for job_id in (*job_ids, after)]
            async with executor(HANDLERS, two, **environment):
                for job_id in (*job_ids, after):
                    await fabric.until(job_id, "Completed", within_s=60)

    assert {len(partition["replicas"]) for partition in topic["partitions"]} == {BROKERS}
    assert LOST in {partition["leader"] for partition in topic["partitions"]}
    assert len(topic["partitions"]) == PARTITIONS
    assert known == [200] * (JOBS + 1)
