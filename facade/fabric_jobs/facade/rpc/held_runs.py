"""The runs that take a slot of an executor, with their numbers by kind of job and by tenant."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from fabric_jobs.contract.heartbeats import JobKind

#: A job's id, in lower case, and the number of its attempt.
RunKey = tuple[str, int]


class SlotJob(NamedTuple):
    """What is known of the job that takes a slot."""

    kind: JobKind
    tenant_id: str


class HeldRuns:
    """Runs, each with its job. The numbers are kept up to date, so that no reader has to count."""

    def __init__(self, jobs: Mapping[RunKey, SlotJob | None] | None = None) -> None:
        """`jobs` has the job of each run; None for a job that is not known here."""
        self._jobs = dict(jobs or {})
        known = [job for job in self._jobs.values() if job]
        #: The number of runs by kind of job, and by tenant. A number is never 0.
        self.by_kind = Counter(job.kind for job in known)
        self.by_tenant = Counter(job.tenant_id for job in known)

    def __len__(self) -> int:
        """Returns the number of the runs."""
        return len(self._jobs)

    def __contains__(self, run: RunKey) -> bool:
        """Returns whether the run takes a slot."""
        return run in self._jobs

    def job_of(self, run: RunKey) -> SlotJob | None:
        """Returns the job of a run; None if the job is not known here."""
        return self._jobs.get(run)

    def set(self, run: RunKey, job: SlotJob | None) -> None:
        """Adds a run, or replaces its job."""
        self.remove(run)
        self._jobs[run] = job
        if job:
            self.by_kind[job.kind] += 1
            self.by_tenant[job.tenant_id] += 1

    def remove(self, run: RunKey) -> SlotJob | None:
        """Removes a run if it takes a slot. Returns its job; None if the job is not known here."""
        job = self._jobs.pop(run, None)
        if job:
            _decrement(self.by_kind, job.kind)
            _decrement(self.by_tenant, job.tenant_id)
        return job


def _decrement(numbers: Counter[Any], key: object) -> None:
    numbers[key] -= 1
    if not numbers[key]:
        del numbers[key]
