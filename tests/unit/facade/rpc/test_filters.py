"""The filters of a `ListJobs` request."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.rpc_kit import END, FULL_LIST_REQUEST, GUID, START


def test_filter_of_request_with_every_field_has_every_filter() -> None:
    """Ids are in lower case, times in UTC, statuses sorted and without duplicates."""
    assert filter_of(FULL_LIST_REQUEST) == Filter(
        statuses=(JobInstanceStatus.COMPLETED, JobInstanceStatus.FAILED),
        job_type="job",
        item_type="item",
        workspace_id=GUID.lower(),
        item_id=GUID.lower(),
        exhausted=True,
        unreplaced=True,
        start_create_time=datetime.fromtimestamp(START.seconds, UTC),
        end_create_time=datetime.fromtimestamp(END.seconds, UTC),
    )


def test_filter_of_empty_request_matches_every_job() -> None:
    """Every filter is empty."""
    assert filter_of(pb.ListJobsRequest()) == Filter()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.ListJobsRequest(workspace_id="x"), "workspace_id is not a GUID"),
        (pb.ListJobsRequest(item_id="{}"), "item_id is not a GUID"),
        (
            pb.ListJobsRequest(statuses=[0, 99]),  # type: ignore[list-item]
            r"statuses holds \[0, 99\]; it can hold JOB_INSTANCE_STATUS_NOT_STARTED, ",
        ),
        (
            pb.ListJobsRequest(start_create_time=END, end_create_time=START),
            "start_create_time must be before end_create_time",
        ),
        (
            pb.ListJobsRequest(end_create_time=Timestamp(seconds=2**62)),
            "end_create_time is not a time from year 1 to 9999",
        ),
    ],
    ids=["workspace", "item", "status", "order of times", "time"],
)
def test_filter_of_request_with_invalid_field_raises_error_that_names_the_field(
    request_: pb.ListJobsRequest, message: str
) -> None:
    """The message says which values the field accepts."""
    with pytest.raises(ValueError, match=message):
        filter_of(request_)
