"""A job, as folded from its events."""

from msgspec import Struct

from fabric_jobs.contract.jobs import JobPhase, JobState

#: In Python 3.11 the look-up of an enum member by its class costs more than the comparison.
_ENDED = JobPhase.ENDED


class Sealed(Struct, frozen=True):
    """A secret that is sealed: no replica opens it to fold an event or to decide a command."""

    text: str

    def __len__(self) -> int:
        return len(self.text)


class Job(Struct, frozen=True, kw_only=True):
    """The state that the job's last event carried, and the job's last dispatch."""

    job_id: str
    sequence: int
    #: The id and the CloudEvents type of the last applied event.
    event_id: str
    event_type: str
    #: Whether this version knows that type. If not, it decides no command on the job.
    decidable: bool
    state: JobState
    #: The id of the event that dispatched the current attempt.
    dispatch_id: str
    #: The creation payload as JSON.
    payload: bytes | Sealed
    #: The item's definition as JSON; empty if the request had none.
    definition: bytes | Sealed = b""
    #: The last checkpoint as JSON; None if there is none, and once the job is final.
    checkpoint: bytes | Sealed | None = None
    #: The last log lines of the last failed attempt; empty if there are none, or if the job
    #: completed.
    log_tail: str | Sealed = ""
    #: The W3C Trace Context of the request that created the job; None if it had none.
    traceparent: str | None = None

    @property
    def final(self) -> bool:
        """Whether the job has ended, so that no event can follow."""
        return self.state.phase is _ENDED
