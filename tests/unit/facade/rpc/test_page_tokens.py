"""The page tokens of `ListJobs`."""

import base64

import pytest

from fabric_jobs.facade.replica import Filter
from fabric_jobs.facade.rpc.filters import filter_of
from fabric_jobs.facade.rpc.page_tokens import decode_page_token, encode_page_token
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.rpc_kit import FULL_LIST_REQUEST, GUID


def test_page_token_with_the_same_filters_decodes_to_its_cursor() -> None:
    """Filters are compared by meaning, without the case of ids and the order of statuses."""
    token = encode_page_token((5, "id"), filter_of(FULL_LIST_REQUEST))
    again = pb.ListJobsRequest()
    again.CopyFrom(FULL_LIST_REQUEST)
    again.workspace_id = GUID.lower()
    again.statuses[:] = reversed(FULL_LIST_REQUEST.statuses)

    assert decode_page_token(token, filter_of(again)) == (5, "id")


def test_page_token_without_a_next_page_is_empty_and_means_the_first_page() -> None:
    """An empty token decodes to no cursor."""
    assert encode_page_token(None, Filter()) == ""
    assert decode_page_token("", filter_of(FULL_LIST_REQUEST)) is None


@pytest.mark.parametrize("field", [field.name for field, _ in FULL_LIST_REQUEST.ListFields()])
def test_page_token_with_another_filter_is_refused(field: str) -> None:
    """Each filter counts, because the next page of another list would leave jobs out."""
    token = encode_page_token((5, "id"), filter_of(FULL_LIST_REQUEST))
    other = pb.ListJobsRequest()
    other.CopyFrom(FULL_LIST_REQUEST)
    other.ClearField(field)

    with pytest.raises(ValueError, match="other filters"):
        decode_page_token(token, filter_of(other))


@pytest.mark.parametrize(
    "token",
    [
        "é",
        "x",
        "Zm9yZ2Vk",
        base64.urlsafe_b64encode(b'[9223372036854775808,"id",{}]').decode(),
        base64.urlsafe_b64encode(b'[5,"\\ud800",{}]').decode(),
        base64.urlsafe_b64encode(b'[5,"id","filters of an earlier version"]').decode(),
        base64.urlsafe_b64encode(b'[5,"id",{"x":' + b"[" * 5000).decode(),
    ],
    ids=[
        "not ASCII",
        "not base64",
        "not JSON",
        "beyond SQLite",
        "not Unicode",
        "earlier version",
        "nested deeply",
    ],
)
def test_page_token_that_is_malformed_raises_value_error(token: str) -> None:
    """No malformed token reaches a query."""
    with pytest.raises(ValueError):  # noqa: PT011 - each decoder has its own words
        decode_page_token(token, Filter())
