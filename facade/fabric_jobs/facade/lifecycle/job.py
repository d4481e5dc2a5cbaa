"""A job as the fold has it."""

from msgspec import Struct

from fabric_jobs.contract.jobs import JobPhase, JobState

#: To look a member up by its class costs more than to compare it, in Python 3.11.
_ENDED = JobPhase.ENDED


class Job(Struct, frozen=True, kw_only=True):
    """The fold of a job's events: what the last one said, and what was dispatched last."""

    job_id: str
    sequence: int
    #: The last applied event: its id, and its CloudEvents type.
    event_id: str
    event_type: str
    #: Whether this version knows that type; decided upon only where it does.
    decidable: bool
    state: JobState
    #: The event that dispatched the current attempt.
    dispatch_id: str
    #: The creation payload, as JSON.
    payload: bytes
    #: W3C Trace Context of the request that created the job, where there was one.
    traceparent: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return self.state.phase is _ENDED
