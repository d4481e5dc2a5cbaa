"""A session without a stream, and the facade behind it."""

from collections.abc import AsyncIterator
from typing import Any

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.lifecycle import Command, Reason, Refusal
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import open_controls
from tests.support.rpc_kit import HELLO

JOB_ID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
OTHER_ID = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
POLICY = pb.Policy(max_attempts=1)


class FakeFacade:
    """Jobs that refuse all commands, a replica without jobs, a roster that keeps heartbeats."""

    def __init__(self) -> None:
        self.heartbeats: list[ExecutorHeartbeat] = []
        self.session = Session(HELLO, self, self, self, open_controls())  # type: ignore[arg-type]

    async def execute(self, command: Command, read_to: int) -> Any:
        """Refuses the command."""
        raise RefusedError(Refusal(Reason.NOT_FOUND, conclusive=True))

    def partition(self, job_id: str) -> int:
        """All jobs are in one partition."""
        return 0

    def get(self, job_id: str) -> None:
        """Returns no job."""

    async def publish(self, heartbeat: ExecutorHeartbeat) -> None:
        """Keeps the heartbeat."""
        self.heartbeats.append(heartbeat)


async def no_requests() -> AsyncIterator[pb.SessionRequest]:
    """Yields nothing."""
    return
    yield


def hello_with(**fields: Any) -> pb.SessionRequest:
    """Returns the first message, with a heartbeat of these fields."""
    return pb.SessionRequest(hello=HELLO, heartbeat=pb.Heartbeat(**fields))
