"""FastAPI and Temporal: the HTTP side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from temporalio.client import WorkflowExecutionStatus

from bench.peers.body import Create
from bench.peers.temporal_jobs import QUEUE, RunJob, connected
from bench.peers.web import serve

STATES = {
    WorkflowExecutionStatus.COMPLETED: "Completed",
    WorkflowExecutionStatus.FAILED: "Failed",
    WorkflowExecutionStatus.CANCELED: "Cancelled",
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the connection to the server."""
    app.state.temporal = await connected()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/jobs/{job_id}", status_code=202)
async def create(job_id: str, body: Create, request: Request) -> Response:
    """Start a workflow with the job's id."""
    sent = body.creationPayload["sent"]
    await request.app.state.temporal.start_workflow(RunJob.run, sent, id=job_id, task_queue=QUEUE)
    return Response(status_code=202)


@app.get("/jobs/{job_id}")
async def state(job_id: str, request: Request) -> dict[str, str]:
    """The job's state."""
    described = await request.app.state.temporal.get_workflow_handle(job_id).describe()
    return {"status": STATES.get(described.status, "InProgress")}


if __name__ == "__main__":
    serve(app)
