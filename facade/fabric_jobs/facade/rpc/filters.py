"""The filters of a `ListJobs` request."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.contract.guids import canonical_guid
from fabric_jobs.contract.scalars import MAX_NAME_CHARS
from fabric_jobs.contract.wire import STATUS_NAMES
from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.rpc.bounds import MAX_STATUSES
from fabric_jobs.status.v1 import job_status_pb2 as pb


def filter_of(request: pb.ListJobsRequest) -> Filter:
    """Returns the filter of the request. Raises `ValueError`, which names the wrong field."""
    start, end = (_time(request, name) for name in ("start_create_time", "end_create_time"))
    if start and end and start >= end:
        raise ValueError("start_create_time must be before end_create_time")
    if len(request.statuses) > MAX_STATUSES:
        raise ValueError(f"statuses may hold {MAX_STATUSES} at most")
    for name in ("job_type", "item_type"):
        if len(getattr(request, name)) > MAX_NAME_CHARS:
            raise ValueError(f"{name} may have {MAX_NAME_CHARS} characters at most")
    if unknown := sorted({*request.statuses} - STATUS_NAMES.keys()):
        known = ", ".join(pb.JobInstanceStatus.Name(number) for number in STATUS_NAMES)
        raise ValueError(f"statuses holds {unknown}; it can hold {known}")
    return Filter(
        statuses=tuple(sorted({STATUS_NAMES[number] for number in request.statuses})),
        job_type=request.job_type,
        item_type=request.item_type,
        workspace_id=_guid(request, "workspace_id"),
        item_id=_guid(request, "item_id"),
        exhausted=request.exhausted,
        unreplaced=request.unreplaced,
        start_create_time=start,
        end_create_time=end,
    )


def _guid(request: pb.ListJobsRequest, name: str) -> str:
    text: str = getattr(request, name)
    try:
        return canonical_guid(text) if text else ""
    except ValueError:
        raise ValueError(f"{name} is not a GUID") from None


def _time(request: pb.ListJobsRequest, name: str) -> datetime | None:
    if not request.HasField(name):
        return None
    time: Timestamp = getattr(request, name)
    try:
        return time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is not a time from year 1 to 9999") from None
