"""The executor's program, connected to a fake facade and the embedded broker."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.fake_facade import FakeFacade, serve


@asynccontextmanager
async def run_program(
    folder: Path,
    facade: FakeFacade,
    embedded: Cluster,
    topic: str,
    target: str = "my_jobs:executor",
    *,
    timeout_s: float = 30,
    **environment: str,
) -> AsyncIterator[Process]:
    """Serves the facade, and runs the program with the facade and the embedded broker.

    The block may take `timeout_s` seconds. The program is killed if the test leaves it running.
    """
    async with serve(facade), asyncio.timeout(timeout_s):
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fabric_jobs.executor", target),
            cwd=folder,
            env={
                **os.environ,
                **embedded.environment(topic),
                "FABRIC_JOBS_FACADES": facade.address,
                **environment,
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            yield program
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()


def make_offer(job_type: str, job_id: str = "a") -> pb.SessionResponse:
    """Returns the message that offers one job of this type."""
    job = pb.Job(job_id=job_id, attempt=1, item_type="Test.Item", job_type=job_type)
    return pb.SessionResponse(
        offers=[pb.Offer(job=job, record=pb.Record(event_id=job_id), payload=b"null")]
    )


async def read_line(program: Process) -> str:
    """Returns the next line of the program's stdout."""
    assert program.stdout
    return (await program.stdout.readline()).decode()
