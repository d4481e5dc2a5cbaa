"""The gRPC errors and answers for commands that the facade cannot execute now."""

from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.rpc.entries import answer_claim, command_of_claim
from fabric_jobs.facade.rpc.errors import map_errors
from fabric_jobs.status.v1 import job_status_pb2 as pb


class AbortedError(Exception):
    """The call was ended."""


class FakeContext:
    """A call that keeps the status with which it was ended."""

    def __init__(self) -> None:
        self.status = Status()

    async def abort(
        self, code: grpc.StatusCode, message: str, metadata: tuple[tuple[str, bytes], ...]
    ) -> None:
        """Keeps the status."""
        ((name, details),) = metadata
        assert name == "grpc-status-details-bin"
        self.status = Status.FromString(details)
        assert (self.status.code, self.status.message) == (code.value[0], message)
        raise AbortedError


class BusyJobs:
    """Jobs that can execute no command now."""

    def __init__(self, reason: UnavailableReason) -> None:
        self._reason = reason

    def partition(self, job_id: str) -> int:
        """All jobs are in one partition."""
        return 0

    async def execute(self, command: object, read_to: int | None = None) -> None:
        """Raises the reason."""
        raise UnavailableError(self._reason, "The facade is busy.")


@pytest.mark.parametrize("reason", UnavailableReason)
async def test_map_errors_of_an_unavailable_error_ends_the_call_with_its_reason(
    reason: UnavailableReason,
) -> None:
    """The code is UNAVAILABLE; `google.rpc.ErrorInfo` has the reason."""
    context: Any = FakeContext()
    with pytest.raises(AbortedError):
        async with map_errors(context):
            await BusyJobs(reason).execute(object())
    (detail,) = context.status.details
    info = ErrorInfo()
    assert detail.Unpack(info)

    assert context.status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert context.status.message == "The facade is busy."
    assert (info.domain, info.reason) == ("fabric-jobs", reason.value)


@pytest.mark.parametrize("reason", UnavailableReason)
async def test_answer_claim_during_an_unavailable_error_is_undecided_with_its_reason(
    reason: UnavailableReason,
) -> None:
    """The executor sends the claim again, and logs why."""
    jobs: Any = BusyJobs(reason)
    claim = pb.Claim(entry_id=7, job_id="0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5", attempt=1)
    claim.policy.max_attempts = 1
    answer = await answer_claim(jobs, claim, command_of_claim("executor", claim, ()))

    undecided = pb.Undecided(message="The facade is busy.", reason=reason.value)
    assert answer == pb.Answer(entry_id=7, undecided=undecided)
