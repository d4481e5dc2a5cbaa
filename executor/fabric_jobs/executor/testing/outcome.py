"""The outcome of a job, for the assertions of a test."""

from msgspec import Struct

from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.jobs import JobInstanceStatus, Progress


class Outcome(Struct, frozen=True, kw_only=True):
    """The final state of a job, and what its handler did on the way."""

    #: The final status, as Fabric shows it: `Completed`, `Failed` or `Cancelled`.
    status: JobInstanceStatus
    #: The error of a failed job, as Fabric shows it in `errorDetails`. `None` for other jobs.
    error: ErrorResponse | None
    #: True if the job failed because every attempt that its `retry` allows has failed.
    exhausted: bool
    #: The number of attempts that were started.
    attempts: int
    #: The seconds between one attempt and the next, in order.
    waits_s: tuple[float, ...]
    #: All progress that the handler reported, in every attempt. An executor sends at most one a
    #: second.
    progress: tuple[Progress, ...]
    #: Seconds from the start of the first attempt to the end of the job, including skipped time.
    took_s: float
