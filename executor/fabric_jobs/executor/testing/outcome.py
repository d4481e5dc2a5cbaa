"""What a test looks at."""

from msgspec import Struct

from fabric_jobs.contract.jobs import ErrorResponse, JobInstanceStatus, Progress


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a job."""

    #: The final status, as Fabric shows it: `Completed`, `Failed` or `Cancelled`.
    status: JobInstanceStatus
    #: Where the job failed, its `errorDetails` as Fabric shows them.
    error: ErrorResponse | None
    #: Failed because every attempt that its `retry` allows has failed.
    exhausted: bool
    #: How many attempts ran.
    attempts: int
    #: Seconds between an attempt and the next.
    waits_s: tuple[float, ...]
    #: All that the handler said, in every attempt; an executor sends at most one a second.
    progress: tuple[Progress, ...]
    #: Seconds from the first attempt's start to the job's end, those that were skipped included.
    took_s: float
