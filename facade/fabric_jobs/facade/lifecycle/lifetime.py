"""How long a job may live, and how long the service remembers it: all from one setting."""

from datetime import timedelta

from msgspec import Struct

from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE

#: How long a job is remembered after the longest life that it may have.
HISTORY = timedelta(days=7)


class JobLifetime(Struct, frozen=True):
    """The longest life of a job, and what follows from it. It is the same in all facades."""

    #: The longest time from a job's creation to its end.
    longest: timedelta = DEFAULT_LONGEST_LIFE

    @property
    def retention(self) -> timedelta:
        """How long a replica knows a job, from the job's first event on, by the times of events."""
        return self.longest + HISTORY

    @property
    def min_record_retention(self) -> timedelta:
        """How long the topic must keep a record.

        That is twice as long as replicas know a job, so that every replica has forgotten a job
        before the job's first record is deleted.
        """
        return 2 * self.retention
