"""The example executor in JavaScript, which is made from the .proto alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.support.brokers import SERVERS, Cluster
from tests.support.certificates import Authority
from tests.support.pages import find_commands
from tests.support.programs import Fabric, Program, addresses, facade, new_id, program, status_api
from tests.support.sealing import OLD_KEY, ring_setting

ITEM_TYPE, JOB_TYPE = "Contoso.FinanceAnalytics.Forecast", "countRows"
#: From the page's commands: the folder of npm's packages, and the script.
((_, FOLDER),) = (one.parts[0] for one in find_commands("npm"))
((_, SCRIPT),) = {tuple(one.parts[0]) for one in find_commands("node")}
#: The payload of a job with more rows than any test waits for.
ENDLESS = {"rows": 1_000_000}


@pytest.fixture
def environment(apache: Cluster, topic: str, examples: Path) -> dict[str, str]:
    """The settings of a new topic and a new pool."""
    return apache.environment(topic)


@asynccontextmanager
async def executor(*facades: Program, **environment: str) -> AsyncIterator[Program]:
    """Run the example from its ready line to the end of the block."""
    settings = environment | {"FABRIC_JOBS_FACADES": ",".join(one.ready["grpc"] for one in facades)}
    async with program("node", f"{FOLDER}/{SCRIPT}", environment=settings) as running:
        yield running


def fabric_of(replica: Program) -> Fabric:
    """A client for jobs that the example has a handler for."""
    return Fabric(replica, JOB_TYPE, ITEM_TYPE)


async def committed(environment: dict[str, str]) -> dict[int, int]:
    """The pool's committed offset of each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=environment[SERVERS])
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(environment["FABRIC_JOBS_POOL"])
    finally:
        await admin.close()
    return {partition.partition: at.offset for partition, at in found.items()}


async def await_progress(status: JobStatusServiceStub, job_id: str) -> pb.GetJobResponse:
    """Return the job once its handler has reported progress: so the executor has its grant."""
    answer = pb.GetJobResponse()
    async with asyncio.timeout(30):
        while not answer.job.progress.fraction:
            answer = await status.GetJob(pb.GetJobRequest(job_id=job_id))
            await asyncio.sleep(0.05)
    return answer


async def test_node_executor_commits_the_offset_of_a_job_that_still_runs(
    environment: dict[str, str],
) -> None:
    """The pool's offset passes a running job with progress, and the next job completes."""
    async with (
        facade(**environment) as one,
        fabric_of(one) as fabric,
        status_api(one) as status,
        executor(one, **environment),
    ):
        endless, quick = new_id(), new_id()
        await fabric.create(endless, ENDLESS)
        answer = await await_progress(status, endless)
        async with asyncio.timeout(30):
            # The partition's first record dispatches it.
            while (await committed(environment)).get(answer.position.partition, 0) < 1:
                await asyncio.sleep(0.2)
        job = (await status.GetJob(pb.GetJobRequest(job_id=endless))).job
        await fabric.create(quick, {"rows": 2})
        await fabric.until(quick, "Completed")
        done = (await status.GetJob(pb.GetJobRequest(job_id=quick))).job

    assert job.progress.message.endswith(" of 1000000")
    assert job.status == pb.JOB_INSTANCE_STATUS_IN_PROGRESS
    assert (done.attempt, done.failures) == (1, 0)


async def test_node_executor_stops_a_cancelled_run_and_frees_its_slot(
    environment: dict[str, str],
) -> None:
    """The next job completes in the only slot."""
    async with (
        facade(**environment) as one,
        fabric_of(one) as fabric,
        executor(one, **environment, FABRIC_JOBS_SLOTS="1"),
    ):
        endless, after = new_id(), new_id()
        await fabric.create(endless, ENDLESS)
        await fabric.until(endless, "InProgress")
        await fabric.create(after, {"rows": 1})
        await fabric.cancel(endless)
        await fabric.until(endless, "Cancelled")
        await fabric.until(after, "Completed")


async def test_node_executor_with_mutual_tls_completes_a_job(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The facade knows the executor by a certificate name that has the executors' role."""
    authority = Authority(tmp_path)
    server, client = authority.server(), authority.client("executor")
    secured = {
        "FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE": str(authority.ca),
        "FABRIC_JOBS_GRPC_TLS_CERT_FILE": str(server.cert),
        "FABRIC_JOBS_GRPC_TLS_KEY_FILE": str(server.key),
        "FABRIC_JOBS_GRPC_EXECUTORS": "executor",
        "FABRIC_JOBS_FACADES_TLS_CA_FILE": str(authority.ca),
        "FABRIC_JOBS_FACADES_TLS_CERT_FILE": str(client.cert),
        "FABRIC_JOBS_FACADES_TLS_KEY_FILE": str(client.key),
    }
    async with (
        facade(**environment | secured) as one,
        fabric_of(one) as fabric,
        executor(one, **environment | secured),
    ):
        await fabric.create(job_id := new_id(), {"rows": 1})
        await fabric.until(job_id, "Completed")


async def test_node_executor_completes_an_offered_job(
    environment: dict[str, str], topic: str
) -> None:
    """It reads a topic without dispatches, so the job can only come as an offer."""
    async with (
        facade(**environment) as one,
        fabric_of(one) as fabric,
        executor(one, **environment | {"FABRIC_JOBS_EVENTS_TOPIC": f"{topic}.heartbeats"}),
    ):
        job_id = new_id()
        await fabric.create(job_id, {"rows": 1})
        await fabric.until(job_id, "Completed")


async def test_node_executor_at_sigterm_hands_back_a_job_that_does_not_end(
    environment: dict[str, str],
) -> None:
    """The next attempt is dispatched at once, no failure is counted, and the exit code is 0."""
    async with (
        facade(**environment) as one,
        fabric_of(one) as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        async with executor(one, **environment, FABRIC_JOBS_DRAIN_S="0.1") as running:
            await fabric.create(job_id, ENDLESS)
            await await_progress(status, job_id)
            code = await running.stop()
        back = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert code == 0
    assert (back.attempt, back.failures, back.phase) == (2, 0, pb.JOB_PHASE_QUEUED)


async def test_node_executor_completes_a_run_whose_facade_was_killed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The report waits after kill -9 of the only facade and goes to the facade's successor."""
    environment |= {"FABRIC_JOBS_STATE_DIR": str(tmp_path)}
    async with facade(**environment) as first, executor(first, **environment):
        async with fabric_of(first) as fabric, status_api(first) as status:
            job_id = new_id()
            await fabric.create(job_id, {"rows": 10})
            await await_progress(status, job_id)
            await first.kill()
        async with (
            facade(**environment, **addresses(first)) as second,
            fabric_of(second) as fabric,
            status_api(second) as status,
        ):
            await fabric.until(job_id, "Completed", within_s=60)
            job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert (job.attempt, job.failures) == (1, 0)


async def test_node_executor_gets_a_sealed_payload_and_checkpoint_with_its_grant(
    environment: dict[str, str],
) -> None:
    """The record and the offer have neither."""
    ring = {"FABRIC_JOBS_SEALING_KEYS": ring_setting(OLD_KEY)}
    async with (
        facade(**environment | ring) as one,
        fabric_of(one) as fabric,
        status_api(one) as status,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"rows": 3})
        async with executor(one, **environment):
            await fabric.until(job_id, "Completed")
        job = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
    assert job.progress.message.endswith(" of 3")
