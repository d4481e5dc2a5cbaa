"""What an event does to a job: the rule of the fold."""

from enum import Enum

from msgspec import UNSET

from fabric_jobs.contract.events import Event, UnknownEvent, type_of
from fabric_jobs.facade.lifecycle.job import Job


class Verdict(Enum):
    """What the fold made of an event."""

    #: It is the job's next event.
    APPLIED = "applied"
    #: A duplicate, or the loser of a race: normal, and without effect.
    LOST = "lost"
    #: It can't happen in a healthy log: the log forked or lost records.
    FORKED = "forked"


#: Looked up by its class, in Python 3.11, it would be a fifth of a fold.
_APPLIED = Verdict.APPLIED


def fold(job: Job | None, event: Event) -> tuple[Verdict, Job | None]:
    """The verdict, and the job after the event: a new one where it applied, else the one given."""
    data = event.data
    sequence = job.sequence if job else 0
    if data.sequence <= sequence:
        return Verdict.LOST, job
    if job and job.final:
        return Verdict.FORKED, job
    if data.sequence != sequence + 1 or data.follows != (job.event_id if job else None):
        return Verdict.FORKED, job
    if data.dispatch is not UNSET:
        dispatch_id, payload = event.id, bytes(data.dispatch.payload)
    elif job:
        dispatch_id, payload = job.dispatch_id, job.payload
    else:
        # A first event that dispatches nothing would be a job that nobody could ever run.
        return Verdict.FORKED, None
    return _APPLIED, Job(
        job_id=event.subject,
        sequence=data.sequence,
        event_id=event.id,
        event_type=type_of(event),
        decidable=not isinstance(event, UnknownEvent),
        state=data.state,
        dispatch_id=dispatch_id,
        payload=payload,
        traceparent=event.traceparent or (job.traceparent if job else None),
    )
