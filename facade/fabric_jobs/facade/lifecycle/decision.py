"""The results of `decide` besides an event."""

from enum import StrEnum

from msgspec import Struct

from fabric_jobs.contract import events
from fabric_jobs.facade.lifecycle.job import Job


class Reason(StrEnum):
    """Why a command was refused."""

    NOT_FOUND = "the job is not known"
    CONFLICT = "the job exists with other content"
    FINAL = "the job is final"
    NOT_FINAL = "the job is not final"
    SUPERSEDED = "the attempt is over, or a later one was dispatched"
    GRANTED_TO_ANOTHER = "the attempt was granted to another executor"
    PAUSED = "the job type is paused"
    #: Given by `Jobs`, because the lifecycle opens no secret.
    SEALED = "the job's content is sealed with a key that this facade does not have, or is damaged"
    NOT_DISPATCHED = "the job's log holds no such dispatch"
    NOT_CANCELLED = "nobody asked to cancel the job, so the run can't have stopped for a cancel"


class Refusal(Struct, frozen=True):
    """The command is refused.

    A conclusive refusal holds whatever this replica reads later. Any other refusal may be given to
    the caller only after the replica has read the log far enough.
    """

    reason: Reason
    conclusive: bool


class Settled(Struct, frozen=True):
    """The job's state already has the command's effect: the command succeeds without an event.

    A conclusive settlement holds whatever this replica reads later. Otherwise a later event may
    have undone the effect: the command succeeds only after the replica has read to the log's end.
    """

    job: Job
    conclusive: bool = True


class Undecidable(Struct, frozen=True):
    """The job's last event has a type that only a later version knows, so only that one decides."""

    job: Job


Decision = events.KnownEvent | Settled | Refusal | Undecidable
