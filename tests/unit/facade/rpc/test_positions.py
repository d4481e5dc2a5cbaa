"""The positions in answers: none is ahead of the job beside it."""

from typing import Any, cast

from fabric_jobs.facade.lifecycle import Command
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.rpc.service import JobStatusService
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.monitor import FoldedJobs


class RacingJobs(FoldedJobs):
    """Jobs whose replica reads the next event of the job before the caller of a command goes on."""

    async def execute(self, command: Command) -> StoredJob:
        """Returns the job after the command, as the writer of its event gets it."""
        stored = self.do(command)
        self.complete(command.job_id)
        return stored

    def position(self, job_id: str) -> tuple[int, int]:
        """The partition, and the position after both events."""
        last = self.replica.get(job_id)
        assert last
        return last.partition, last.offset + 1


class FakeContext:
    """A call of a client without a certificate."""

    def auth_context(self) -> dict[str, list[bytes]]:
        """Returns no names."""
        return {}

    def peer(self) -> str:
        """Returns the client's address."""
        return "ipv4:127.0.0.1:1"


async def test_position_of_a_cancel_is_before_the_event_that_the_answer_does_not_reflect() -> None:
    """A client that reads the topic from the position on misses no event of the job."""
    jobs = RacingJobs()
    service = JobStatusService(
        cast("Any", jobs), jobs.replica, jobs.roster, jobs.job_types, *cast("Any", (None, None))
    )
    job_id = jobs.create()
    jobs.start(job_id)
    answer = await service.CancelJob(pb.CancelJobRequest(job_id=job_id), cast("Any", FakeContext()))

    after = jobs.replica.get(job_id)
    assert after
    assert after.job.sequence == answer.job.sequence + 1
    assert answer.position.offset == after.offset
