"""FastAPI and DBOS on PostgreSQL: the HTTP side, which is a client of the queue."""

import os

from dbos import DBOSClient
from fastapi import FastAPI, Response

from bench.peers.body import Create
from bench.peers.web import serve

QUEUE = "bench"
STATES = {"SUCCESS": "Completed", "ERROR": "Failed", "CANCELLED": "Cancelled"}

app = FastAPI()
client = DBOSClient(system_database_url=os.environ["BENCH_BACKEND"])


@app.post("/jobs/{job_id}", status_code=202)
async def create(job_id: str, body: Create) -> Response:
    """Enqueue a workflow under the job's id."""
    await client.enqueue_async(
        {
            "queue_name": QUEUE,
            "workflow_name": "nothing",
            "workflow_id": job_id,
            "app_version": "1",
        },
        body.creationPayload["sent"],
    )
    return Response(status_code=202)


@app.get("/jobs/{job_id}")
async def state(job_id: str) -> dict[str, str]:
    """The workflow's state."""
    # One query, where a handle makes two.
    (found,) = await client.list_workflows_async(
        workflow_ids=[job_id], load_input=False, load_output=False
    )
    return {"status": STATES.get(found.status, "InProgress")}


if __name__ == "__main__":
    serve(app)
