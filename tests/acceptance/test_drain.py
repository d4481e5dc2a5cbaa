"""A facade that stops, seen from outside."""

import asyncio
import signal

import grpc
import httpx
import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import Fabric, Program, facade, new_id, status_api

UNREADY = {"FABRIC_JOBS_UNREADY_S": "2"}


@pytest.fixture
def environment(apache: Cluster, topic: str) -> dict[str, str]:
    """The settings of a new topic."""
    return apache.environment(topic) | UNREADY


async def ready_status(replica: Program) -> int:
    """The status code of the readiness probe."""
    async with httpx.AsyncClient() as client:
        url = replica.ready["http"].removesuffix("/workload")
        return (await client.get(f"{url}/readyz")).status_code


async def test_stopping_facade_answers_while_it_is_not_ready(
    environment: dict[str, str],
) -> None:
    """It accepts creates, ends streams from its side, and exits with code 0."""
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        Fabric(one) as fabric,
        Fabric(two) as other,
        status_api(one) as status,
    ):
        assert await ready_status(one) == 200
        stream = status.Session()
        hello = pb.Hello(executor_id="by-hand")
        await stream.write(pb.SessionRequest(hello=hello, heartbeat=pb.Heartbeat()))
        async with asyncio.timeout(10):
            # Wait until the facade has read the hello: a stopping facade would refuse the stream.
            while not (await status.ListExecutors(pb.ListExecutorsRequest())).executors:
                await asyncio.sleep(0.02)
        assert await stream.read() == pb.SessionResponse()  # the answer to the heartbeat
        one.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await ready_status(one) != 503:
                await asyncio.sleep(0.02)
            late = new_id()
            answer = await fabric.create(late)
            ended = await stream.read()
            code = await one.process.wait()
        elsewhere = await other.state(late)

    assert answer.status_code == 202
    assert not ended
    assert code == 0
    assert elsewhere.json() == {"status": "NotStarted"}


async def test_stopping_facade_refuses_new_streams(environment: dict[str, str]) -> None:
    """It answers `UNAVAILABLE`, so that an executor connects to another replica."""
    async with facade(**environment) as one, status_api(one) as status:
        one.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await ready_status(one) != 503:
                await asyncio.sleep(0.02)
            with pytest.raises(grpc.aio.AioRpcError, match="Connect to another replica"):
                await status.Session().read()
