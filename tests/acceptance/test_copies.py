"""A facade without a state takes that of another facade, as its operators see it."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import FacadeHeartbeat
from tests.support.brokers import SERVERS, Cluster
from tests.support.programs import Fabric, Program, facade, new_id


async def test_facade_whose_folder_is_empty_takes_the_state_of_another_one(
    apache: Cluster, topic: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says so in its log, knows every job, and goes on by itself when the other is killed."""
    environment = apache.environment(topic)
    ids = [new_id() for _ in range(20)]
    async with facade(**environment, FABRIC_JOBS_STATE_DIR=str(tmp_path / "old")) as old:
        async with Fabric(old) as fabric:
            for job_id in ids:
                assert (await fabric.create(job_id)).status_code == 202
        await until_it_gives_copies(old, environment)
        state_dir = str(tmp_path / "new")
        async with facade(**environment, FABRIC_JOBS_STATE_DIR=state_dir) as new:
            await old.kill()
            async with Fabric(new) as fabric:
                for job_id in ids:
                    assert (await fabric.state(job_id)).json()["status"] == "NotStarted"
                assert (await fabric.create(new_id())).status_code == 202

    assert f"the state is a copy of {old.ready['grpc']}" in capfd.readouterr().err
    assert not (tmp_path / "new" / "incoming.sqlite").exists()


async def until_it_gives_copies(replica: Program, environment: dict[str, str]) -> None:
    """Returns once a heartbeat of the facade has the address for copies."""
    consumer = AIOKafkaConsumer(
        environment["FABRIC_JOBS_HEARTBEATS_TOPIC"],
        bootstrap_servers=environment[SERVERS],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for record in consumer:
                heartbeat = heartbeats.decode(record.value)
                if isinstance(heartbeat, FacadeHeartbeat) and heartbeat.copy_address:
                    assert heartbeat.copy_address == replica.ready["grpc"]
                    return
    finally:
        await consumer.stop()
