"""A job with its place in the log."""

from msgspec import Struct

from fabric_jobs.facade.lifecycle import Job


class StoredJob(Struct, frozen=True):
    """A job, and the partition and offset of its last applied event."""

    job: Job
    partition: int
    offset: int
    #: The later of the two times of the job's first event, the facade's and the broker's, but at
    #: most one retention after the broker's; in milliseconds since 1970.
    first_ms: int
