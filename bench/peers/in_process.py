"""FastAPI with background tasks of its own: what nobody keeps, and so the price of keeping it."""

from uuid import UUID

from fastapi import BackgroundTasks, FastAPI, Response

from bench.peers.body import Create
from bench.peers.web import serve

app = FastAPI()
states: dict[UUID, str] = {}


async def nothing(job_id: UUID) -> None:
    """Ends at once."""
    states[job_id] = "Completed"


@app.post("/jobs/{job_id}", status_code=202)
async def create(job_id: UUID, body: Create, tasks: BackgroundTasks) -> Response:
    """Begins once this is answered."""
    states[job_id] = "InProgress"
    tasks.add_task(nothing, job_id)
    return Response(status_code=202)


@app.get("/jobs/{job_id}")
async def state(job_id: UUID) -> dict[str, str]:
    """How it is doing."""
    return {"status": states[job_id]}


if __name__ == "__main__":
    serve(app)
