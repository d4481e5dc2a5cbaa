"""Several installations on one Kafka: each keeps to itself, and a mixture of two says so."""

import asyncio
from pathlib import Path

import pytest

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Fabric, executor, facade, new_id
from tests.support.rolling import list_jobs

PREFIX = "FABRIC_JOBS_KAFKA_PREFIX"


async def test_two_prefixes_on_one_kafka_are_two_installations(
    apache: Cluster, topic: str, tmp_path: Path
) -> None:
    """With the same names of topics and pool, neither reads a record of the other."""
    shared = apache.environment(topic)
    anna, ben = (shared | {PREFIX: name} for name in ("anna.", "ben."))
    async with (
        facade(**anna) as first,
        facade(**ben) as second,
        executor(HANDLERS, first, **anna),
        executor(HANDLERS, second, **ben),
        Fabric(first, "journaled") as of_anna,
        Fabric(second, "journaled") as of_ben,
    ):
        jobs = {"anna": [new_id() for _ in range(10)], "ben": [new_id() for _ in range(10)]}
        for name, client in (("anna", of_anna), ("ben", of_ben)):
            for job_id in jobs[name]:
                await client.create(job_id, {"journal": str(tmp_path / name)})
        for name, client in (("anna", of_anna), ("ben", of_ben)):
            for job_id in jobs[name]:
                await client.until(job_id, "Completed")
        assert (await list_jobs(first)).keys() == set(jobs["anna"])
        assert (await list_jobs(second)).keys() == set(jobs["ben"])
    for name, ids in jobs.items():
        ran = [line.split()[0] for line in (tmp_path / name).read_text().splitlines()]
        assert sorted(ran) == sorted(ids)


async def test_executors_of_one_pool_with_two_prefixes_name_the_setting(
    apache: Cluster, topic: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The one that Kafka asks for the assignment logs a warning. Each runs its own jobs."""
    shared = apache.environment(topic)
    # A name that begins with the prefix stays as it is: so the second pool is the first one.
    anna = shared | {PREFIX: "a.", "FABRIC_JOBS_POOL": f"a.{topic}"}
    forgot = shared | {"FABRIC_JOBS_POOL": f"a.{topic}"}
    err = ""
    async with (
        facade(**anna) as first,
        facade(**forgot) as second,
        executor(HANDLERS, first, **anna),
        executor(HANDLERS, second, **forgot),
        Fabric(first) as of_anna,
        Fabric(second) as of_other,
    ):
        async with asyncio.timeout(60):
            while "the executors of this pool read different topics" not in err:
                err += capfd.readouterr().err
                await asyncio.sleep(0.1)
        for client in (of_anna, of_other):
            await client.create(job_id := new_id())
            await client.until(job_id, "Completed")
    warning = next(line for line in err.splitlines() if "read different topics" in line)
    assert f"Set the same {PREFIX}" in warning
    assert f"a.{topic}, {topic}" in warning
