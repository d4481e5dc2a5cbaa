"""How far a job is, asked over gRPC: Fabric's HTTP state has no word for it."""

import grpc

from fabric_jobs.jobs import Progress
from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from fabric_jobs.wire import progress_from_proto

_ANSWER_S = 1.0


class ProgressReader:
    """Reads a job's progress where the facade's gRPC address can be reached, else nothing."""

    def __init__(self, address: str) -> None:
        # An internal address: a proxy of the environment's can't know it.
        self._channel = grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        self._jobs = JobStatusServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> "ProgressReader":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def read(self, job_id: str) -> Progress | None:
        """What the run last said; none where it said nothing, or nobody answers."""
        try:
            answer = await self._jobs.GetJob(pb.GetJobRequest(job_id=job_id), timeout=_ANSWER_S)
        except grpc.aio.AioRpcError:
            return None
        return progress_from_proto(answer.job.progress) if answer.job.HasField("progress") else None
