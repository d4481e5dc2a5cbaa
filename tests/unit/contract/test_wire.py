"""Conversion of the contract's values to protobuf messages and back."""

import pytest
from google.protobuf.duration_pb2 import Duration

from fabric_jobs.contract.errors import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.jobs import Policy, Progress
from fabric_jobs.contract.wire import (
    InvalidMessageError,
    error_from_proto,
    error_to_proto,
    policy_from_proto,
    policy_to_proto,
    progress_from_proto,
    progress_to_proto,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(max_attempts=5, initial_backoff_s=0, jitter=0, run_timeout_s=0.25, cancel_grace_s=0),
    ],
)
def test_policy_converted_to_proto_and_back_is_the_same(policy: Policy) -> None:
    """A duration of zero is kept, although it differs from an absent one."""
    assert policy_from_proto(policy_to_proto(policy)) == policy


def test_policy_from_empty_proto_has_the_defaults() -> None:
    """The jitter is the exception, because an absent number is 0 on the wire."""
    assert policy_from_proto(pb.Policy()) == Policy(jitter=0)


@pytest.mark.parametrize(
    "message",
    [
        pb.Policy(max_attempts=-1),
        pb.Policy(backoff_multiplier=0.5),
        pb.Policy(backoff_multiplier=float("inf")),
        pb.Policy(jitter=float("nan")),
        pb.Policy(jitter=1.5),
        pb.Policy(run_timeout=Duration()),
        pb.Policy(cancel_grace=Duration(seconds=-1)),
        # A field that this version does not know.
        pb.Policy.FromString(b"\xfa\x3e\x80\x08" + b"x" * 1024),
    ],
)
def test_policy_from_proto_outside_its_bounds_raises_invalid_message_error(
    message: pb.Policy,
) -> None:
    """No replica ever decides by such a policy."""
    with pytest.raises(InvalidMessageError):
        policy_from_proto(message)


def test_error_converted_to_proto_and_back_is_the_same() -> None:
    """Its named values come back sorted by name."""
    names = (NameValuePair("attempt", "1"), NameValuePair("executor", "one"))
    detail = ErrorExtendedInformation(
        error_code="Inner", message="why", message_parameters=("a",), additional_parameters=names
    )
    error = ErrorResponse(
        error_code="Outer",
        message="what",
        source=ErrorSource.EXTERNAL,
        is_permanent=True,
        message_parameters=("x", "y"),
        more_details=(detail,),
    )

    assert error_from_proto(error_to_proto(error)) == error


def test_progress_to_proto_truncates_the_message_and_replaces_lone_surrogates() -> None:
    """Progress within the bounds is the same after a conversion to proto and back."""
    assert progress_from_proto(progress_to_proto(Progress(0.5, "half"))) == Progress(0.5, "half")
    assert len(progress_to_proto(Progress(0, "x" * 5000)).message) == 1024
    assert progress_to_proto(Progress(0, "\ud800")).message == "?"


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_from_proto_outside_0_to_1_raises_invalid_message_error(fraction: float) -> None:
    """NaN is refused too."""
    with pytest.raises(InvalidMessageError):
        progress_from_proto(pb.Progress(fraction=fraction))
