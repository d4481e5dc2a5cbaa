"""Page tokens are bound to what was asked for, and filters that can't be are refused."""

import base64
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.facade.rpc.pages import Place, from_token, to_token
from fabric_jobs.status.v1 import job_status_pb2 as pb

GUID = "0F9D2C3E-5B7A-4C1D-8E6F-A0B1C2D3E4F5"
START, END = Timestamp(seconds=1_800_000_000), Timestamp(seconds=1_800_000_060)
FULL = pb.ListJobsRequest(
    statuses=[pb.JOB_INSTANCE_STATUS_FAILED, pb.JOB_INSTANCE_STATUS_COMPLETED],
    job_type="job",
    item_type="item",
    workspace_id=GUID,
    item_id=GUID,
    exhausted=True,
    start_create_time=START,
    end_create_time=END,
)


def test_every_filter_of_a_request_is_in_its_filter() -> None:
    """Ids in their canonical form, times in UTC, statuses once each and in one order."""
    assert filter_of(FULL) == Filter(
        statuses=(JobInstanceStatus.COMPLETED, JobInstanceStatus.FAILED),
        job_type="job",
        item_type="item",
        workspace_id=GUID.lower(),
        item_id=GUID.lower(),
        exhausted=True,
        start_create_time=datetime.fromtimestamp(START.seconds, UTC),
        end_create_time=datetime.fromtimestamp(END.seconds, UTC),
    )
    assert filter_of(pb.ListJobsRequest()) == Filter()


def test_a_token_leads_to_the_next_page_of_the_same_filters() -> None:
    """Whatever was filtered by, and however the request spelled it."""
    which = filter_of(FULL)
    token = to_token(Place(5, "id", which))
    again = pb.ListJobsRequest()
    again.CopyFrom(FULL)
    again.workspace_id = GUID.lower()
    again.statuses[:] = reversed(FULL.statuses)

    assert from_token(token, filter_of(again)) == (5, "id")
    assert from_token("", which) is None


@pytest.mark.parametrize("field", [field.name for field, _ in FULL.ListFields()])
def test_a_token_of_other_filters_is_refused(field: str) -> None:
    """Each filter counts: a page of another list would leave jobs out."""
    token = to_token(Place(5, "id", filter_of(FULL)))
    other = pb.ListJobsRequest()
    other.CopyFrom(FULL)
    other.ClearField(field)

    with pytest.raises(ValueError, match="other filters"):
        from_token(token, filter_of(other))


@pytest.mark.parametrize(
    "token",
    [
        "é",
        "x",
        "Zm9yZ2Vk",
        base64.urlsafe_b64encode(b'[9223372036854775808,"id",{}]').decode(),
        base64.urlsafe_b64encode(b'[5,"\\ud800",{}]').decode(),
        base64.urlsafe_b64encode(b'[5,"id","filters of an earlier version"]').decode(),
    ],
    ids=["no ASCII", "no base64", "no JSON", "beyond SQLite", "no Unicode", "earlier version"],
)
def test_a_token_that_is_none_of_ours_is_refused(token: str) -> None:
    """As bad input: it reaches no query."""
    with pytest.raises(ValueError):  # noqa: PT011 - each decoder has its own words
        from_token(token, Filter())


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
            "end_create_time is no time of a calendar",
        ),
    ],
    ids=["workspace", "item", "status", "order of times", "time"],
)
def test_a_filter_that_can_t_be_is_refused_by_its_name(
    request_: pb.ListJobsRequest, message: str
) -> None:
    """The message says which, and what it can be."""
    with pytest.raises(ValueError, match=message):
        filter_of(request_)
