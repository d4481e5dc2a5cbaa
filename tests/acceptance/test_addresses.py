"""A facade on IPv6."""

import pytest

from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.brokers import Cluster
from tests.support.programs import Fabric, facade, new_id, status_api


@pytest.mark.usefixtures("ipv6_port")
async def test_facade_on_ipv6_answers_http_and_grpc(embedded: Cluster, topic: str) -> None:
    """A facade on IPv6 answers HTTP and gRPC at the addresses of its ready line."""
    environment = embedded.environment(topic) | {
        "FABRIC_JOBS_HTTP_ADDRESS": "[::1]:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "[::1]:0",
    }
    async with facade(**environment) as replica, Fabric(replica) as fabric:
        job_id = new_id()
        created = await fabric.create(job_id)
        async with status_api(replica) as stub:
            found = await stub.GetJob(pb.GetJobRequest(job_id=job_id))

    assert replica.ready["http"].startswith("http://[::1]:")
    assert (created.status_code, found.job.job_id) == (202, job_id)
