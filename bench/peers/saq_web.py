"""Litestar and SAQ on Redis: the HTTP side."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar, Response, get, post
from saq.job import Status

from bench.peers.saq_jobs import queue
from bench.peers.web import serve

STATES = {Status.COMPLETE: "Completed", Status.FAILED: "Failed", Status.ABORTED: "Cancelled"}


class Create(msgspec.Struct, rename="camel"):
    """The same body as our facade's."""

    invoke_type: str
    creation_payload: dict[str, Any]


@post("/jobs/{job_id:uuid}", status_code=202)
async def create(job_id: UUID, data: Create) -> Response[bytes]:
    """Enqueue a job; a known job stays as it is."""
    # A state is kept as long as ours.
    await queue.enqueue("nothing", key=str(job_id), ttl=8 * 24 * 3600, **data.creation_payload)
    return Response(b"")


@get("/jobs/{job_id:uuid}")
async def state(job_id: UUID) -> dict[str, str]:
    """The job's state."""
    job = await queue.job(str(job_id))
    assert job
    return {"status": STATES.get(job.status, "InProgress")}


if __name__ == "__main__":
    serve(Litestar([create, state], logging_config=None, on_startup=[queue.connect]))
