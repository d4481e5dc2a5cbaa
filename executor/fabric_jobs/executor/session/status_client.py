"""What a run needs of the status API: decisions about its claim and its reports."""

from typing import Protocol

from msgspec import Struct

from fabric_jobs.status.v1 import job_status_pb2 as pb


class Accepted(Struct, frozen=True):
    """The claim was granted, or the report was applied."""

    #: The record on the topic that says so. A claim's record is the grant of the run.
    record: pb.Record
    #: What the handler gets, if a facade has sealed it on the topic; `None` if the record holds it.
    content: pb.Dispatch | None = None


class Refused(Struct, frozen=True):
    """The claim or the report was refused. A refusal is final."""

    reason: pb.RefusalReason
    message: str

    def __str__(self) -> str:
        return f"{pb.RefusalReason.Name(self.reason)} {self.message}"


class StatusClient(Protocol):
    """Sends the claims and reports of runs to the facades, and returns their decisions."""

    async def claim(self, claim: pb.Claim) -> Accepted | Refused:
        """Sends a claim, again if necessary, until a facade has granted or refused it."""

    async def report(self, report: pb.Report) -> Accepted | Refused:
        """Sends a report, again if necessary, until a facade has applied or refused it."""

    def beat(self) -> None:
        """Sends a heartbeat at once, because facades wait for it before a deadline takes effect."""

    async def access_token(self, request: pb.GetAccessTokenRequest) -> pb.GetAccessTokenResponse:
        """Gets an access token, again if necessary, until a facade has given or refused it.

        Raises `AccessTokenError`.
        """
