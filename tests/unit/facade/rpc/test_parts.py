"""The number of messages inside a message, counted before it is decoded."""

import pytest
from google.protobuf.message import DecodeError

from fabric_jobs.facade.rpc.parts import PartCounter
from fabric_jobs.status.v1 import job_status_pb2 as pb

COUNTER = PartCounter(pb.SessionRequest.DESCRIPTOR)
FAILED = pb.Error(
    message_parameters=["a", "b"], details=[pb.ErrorDetail(additional_parameters={"c": "d"})] * 3
)
MESSAGES = {
    "claims with policies": (
        pb.SessionRequest(claims=[pb.Claim(policy=pb.Policy(max_attempts=2))] * 5),
        5 + 5,
    ),
    "empty job types": (
        pb.SessionRequest(heartbeat=pb.Heartbeat(full_job_types=[pb.JobType()] * 1000)),
        1 + 1000,
    ),
    "details of errors": (
        pb.SessionRequest(reports=[pb.Report(failed=FAILED)] * 4, hello=pb.Hello(slots=1)),
        1 + 4 * (1 + 1 + 3 * (1 + 1)),
    ),
}


@pytest.mark.parametrize(("message", "parts"), MESSAGES.values(), ids=MESSAGES)
def test_message_with_more_parts_than_the_bound_exceeds_it(
    message: pb.SessionRequest, parts: int
) -> None:
    """At every level; texts and numbers are no parts."""
    data = message.SerializeToString()

    assert not COUNTER.exceeds(data, parts)
    assert COUNTER.exceeds(data, parts - 1)


def test_bytes_that_are_no_message_raise_the_decoder_s_error() -> None:
    """The caller has one error for both."""
    with pytest.raises(DecodeError):
        COUNTER.exceeds(b"\x0a\xff")
