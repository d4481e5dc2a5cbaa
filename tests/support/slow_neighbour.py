"""`python -m tests.support.slow_neighbour FILE`: a facade that sends a copy of its state slowly.

It prints the address of its gRPC server. Its state has some megabytes, so that a test can kill it
while the copy is sent.
"""

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from fabric_jobs.facade.rpc import ReplicaService, replica_service
from tests.support.rpc_kit import serve
from tests.support.store_kit import IDENTITY, open_store, put, stored_job

JOBS = 3000


async def main(path: Path) -> None:
    """Serves until it is killed."""
    replica_service.MAX_BYTES_PER_S = replica_service.CHUNK_BYTES
    store = open_store(path)
    one = stored_job(0)
    jobs = (replace(one.job, job_id=f"job-{number}") for number in range(JOBS))
    put(store, *(replace(one, job=job, offset=number) for number, job in enumerate(jobs)))
    async with serve(None, copies=ReplicaService(store, IDENTITY, lambda: True)) as rpc:
        print(rpc.address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
