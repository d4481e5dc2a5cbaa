"""FastAPI with its background tasks, which stores no job: a lower bound of the cost."""

from uuid import UUID

from fastapi import BackgroundTasks, FastAPI, Response

from bench.peers.body import Create
from bench.peers.web import serve

app = FastAPI()
states: dict[UUID, str] = {}


async def nothing(job_id: UUID) -> None:
    """Completes at once."""
    states[job_id] = "Completed"


@app.post("/jobs/{job_id}", status_code=202)
async def create(job_id: UUID, body: Create, tasks: BackgroundTasks) -> Response:
    """Create a job, which begins after the answer."""
    states[job_id] = "InProgress"
    tasks.add_task(nothing, job_id)
    return Response(status_code=202)


@app.get("/jobs/{job_id}")
async def state(job_id: UUID) -> dict[str, str]:
    """The job's state."""
    return {"status": states[job_id]}


if __name__ == "__main__":
    serve(app)
