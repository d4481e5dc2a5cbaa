"""The answers to Fabric."""

from datetime import datetime

import msgspec
from litestar import MediaType
from litestar.response.base import ASGIResponse
from msgspec import Struct

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.lifecycle import Job

#: The answer to WDK v1's create. The contract has no body here, so there is no content type.
ACCEPTED = ASGIResponse(status_code=202)
del ACCEPTED.headers["content-type"]


class ItemJobInstanceState(Struct, rename="camel", omit_defaults=True):
    """A job instance's state in an answer to Fabric; absent fields are left out."""

    status: JobInstanceStatus
    start_time_utc: datetime | None = None
    end_time_utc: datetime | None = None
    error_details: ErrorResponse | None = None


def state_response(job: Job, status_code: int = 200) -> ASGIResponse:
    """The answer with a job instance's state; only a failed one has error details.

    It is encoded here, because Litestar's own encoding is a tenth of what a poll costs.
    """
    state = job.state
    failed = state.status is JobInstanceStatus.FAILED
    body = ItemJobInstanceState(
        status=state.status,
        start_time_utc=state.start_time,
        end_time_utc=state.end_time,
        error_details=state.error if failed else None,
    )
    return ASGIResponse(
        body=msgspec.json.encode(body), status_code=status_code, media_type=MediaType.JSON
    )
