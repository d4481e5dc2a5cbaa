"""The contract's values on the wire: what goes in comes out, and nonsense is refused."""

import pytest
from google.protobuf.duration_pb2 import Duration

from fabric_jobs.contract.jobs import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
    Policy,
    Progress,
)
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
def test_a_policy_survives_the_wire(policy: Policy) -> None:
    """Zero is not mistaken for absent."""
    assert policy_from_proto(policy_to_proto(policy)) == policy


def test_what_a_policy_leaves_out_has_its_default() -> None:
    """But for the jitter, whose absence and zero are one on the wire."""
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
    ],
)
def test_a_policy_outside_its_bounds_is_refused(message: pb.Policy) -> None:
    """No replica has to decide with it."""
    with pytest.raises(InvalidMessageError):
        policy_from_proto(message)


def test_an_error_survives_the_wire() -> None:
    """Its named values are sorted by name."""
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


def test_an_error_from_an_unknown_source_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(InvalidMessageError, match="System, User, External"):
        error_from_proto(pb.Error(source="Nobody"))


def test_progress_survives_the_wire_cut_to_its_bound() -> None:
    """In characters, and in what UTF-8 can say."""
    assert progress_from_proto(progress_to_proto(Progress(0.5, "half"))) == Progress(0.5, "half")
    assert len(progress_to_proto(Progress(0, "x" * 5000)).message) == 1024
    assert progress_to_proto(Progress(0, "\ud800")).message == "?"


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_that_is_no_fraction_is_refused(fraction: float) -> None:
    """Also what compares with nothing."""
    with pytest.raises(InvalidMessageError):
        progress_from_proto(pb.Progress(fraction=fraction))
