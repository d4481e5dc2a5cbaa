"""FastAPI and Procrastinate on PostgreSQL: the HTTP side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response

from bench.peers.body import Create
from bench.peers.procrastinate_jobs import app as procrastinate
from bench.peers.procrastinate_jobs import nothing
from bench.peers.web import serve

STATES = {"succeeded": "Completed", "failed": "Failed", "cancelled": "Cancelled"}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the connections to the database."""
    async with procrastinate.open_async():
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/jobs/{job_id}", status_code=202)
async def create(job_id: str, body: Create) -> Response:
    """Defer a job; polls use Procrastinate's id."""
    number = await nothing.defer_async(**body.creationPayload, job_id=job_id)
    return Response(str(number), status_code=202)


@app.get("/jobs/{number}")
async def state(number: int) -> dict[str, str]:
    """The job's state."""
    status = await procrastinate.job_manager.get_job_status_async(number)
    return {"status": STATES.get(status.value, "InProgress")}


if __name__ == "__main__":
    serve(app)
