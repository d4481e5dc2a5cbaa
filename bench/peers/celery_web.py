"""FastAPI and Celery on Redis: the HTTP side."""

from uuid import UUID

from fastapi import FastAPI, Response

from bench.peers.body import Create
from bench.peers.celery_jobs import app as celery
from bench.peers.celery_jobs import nothing
from bench.peers.web import serve

STATES = {"SUCCESS": "Completed", "FAILURE": "Failed", "REVOKED": "Cancelled"}
app = FastAPI()


@app.post("/jobs/{job_id}", status_code=202)
def create(job_id: UUID, body: Create) -> Response:
    """Send a job; Celery's client blocks, so FastAPI calls this in a thread."""
    nothing.apply_async(kwargs=body.creationPayload, task_id=str(job_id))
    return Response(status_code=202)


@app.get("/jobs/{job_id}")
def state(job_id: UUID) -> dict[str, str]:
    """The job's state."""
    return {"status": STATES.get(celery.AsyncResult(str(job_id)).state, "InProgress")}


if __name__ == "__main__":
    serve(app)
