"""The store's memory: jobs that are not in the file yet, and those that are asked for most."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from enum import Enum

from msgspec import Struct

from fabric_jobs.contract.jobs import MAX_ERROR_BYTES
from fabric_jobs.facade.lifecycle import Job, due

#: Jobs that wait to be written, and the bytes of their payloads and errors: many enough that a
#: transaction touches its pages for several of them.
MAX_WAITING = 5000
MAX_WAITING_BYTES = 8 * 1024 * 1024
#: Jobs that stay once they were looked up in the file, and the same bytes of each.
MAX_LOOKED_UP = 5000
SMALL_BYTES = 4096


class StoredJob(Struct, frozen=True):
    """A job, and where in the log its last applied event stands."""

    job: Job
    partition: int
    offset: int
    #: The broker's time of the job's first record, in milliseconds since 1970.
    first_ms: int


class Memory:
    """Jobs by their ids; what is put here is newer than what the file has."""

    def __init__(self) -> None:
        self._unwritten: dict[str, StoredJob] = {}
        #: Of these, those that are not final, how many a tenant has of them, and when one is due,
        #: once that was asked.
        self._unfinished: dict[str, StoredJob] = {}
        self._of_tenants = Counter[str]()
        self._due_at: dict[str, datetime] = {}
        #: Of the unwritten, those that nobody has taken to write.
        self._waiting: dict[str, StoredJob] = {}
        self._waiting_bytes = 0
        self._written: Mapping[str, StoredJob] = {}
        #: None where there is no such job: whoever creates one asks for it again and again.
        self._looked_up: dict[str, StoredJob | None] = {}

    @property
    def unwritten(self) -> Mapping[str, StoredJob]:
        """The jobs that the file does not have as they are."""
        return self._unwritten

    @property
    def unfinished(self) -> Collection[StoredJob]:
        """Of these, the ones that are not final."""
        return self._unfinished.values()

    def unfinished_of(self, tenant_id: str) -> int:
        """How many of these the tenant has."""
        return self._of_tenants[tenant_id]

    def due(self, now: datetime) -> Iterator[str]:
        """The ids of those of them that are due."""
        for job_id, entry in self._unfinished.items():
            if job_id not in self._due_at:
                what = due(entry.job)
                assert what is not None
                self._due_at[job_id] = what.time
            if self._due_at[job_id] <= now:
                yield job_id

    @property
    def is_full(self) -> bool:
        """Whether no more should wait."""
        return len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES

    def put(self, entry: StoredJob) -> None:
        """The job as it is now."""
        job_id = entry.job.job_id
        if replaced := self._waiting.get(job_id):
            self._waiting_bytes -= _bytes_of(replaced.job)
        self._unwritten[job_id] = self._waiting[job_id] = entry
        self._waiting_bytes += _bytes_of(entry.job)
        self._pass_over(job_id)
        if not entry.job.final:
            self._unfinished[job_id] = entry
            self._of_tenants[entry.job.state.tenant_id] += 1
        self._looked_up.pop(job_id, None)

    def get(self, job_id: str) -> "StoredJob | Unknown | None":
        """The job, or that there is none, or that the file must say."""
        return (
            self._unwritten.get(job_id)
            or self._written.get(job_id)
            or self._looked_up.get(job_id, UNKNOWN)
        )

    def look_up(self, job_id: str, entry: StoredJob | None) -> None:
        """What the file said."""
        if entry is None or _bytes_of(entry.job) <= SMALL_BYTES:
            if len(self._looked_up) >= MAX_LOOKED_UP:
                self._looked_up.clear()
            self._looked_up[job_id] = entry

    def take(self) -> Mapping[str, StoredJob]:
        """What waits, for who writes it."""
        taken, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        self._written = {}
        return taken

    def written(self, taken: Mapping[str, StoredJob]) -> None:
        """The file has what was taken."""
        for job_id, entry in taken.items():
            # Where not, it has changed since.
            if self._unwritten[job_id] is entry:
                del self._unwritten[job_id]
                self._pass_over(job_id)
        self._written = taken

    def _pass_over(self, job_id: str) -> None:
        """It is none of the unfinished any more."""
        if entry := self._unfinished.pop(job_id, None):
            self._due_at.pop(job_id, None)
            tenant_id = entry.job.state.tenant_id
            self._of_tenants[tenant_id] -= 1
            if not self._of_tenants[tenant_id]:
                del self._of_tenants[tenant_id]


class Unknown(Enum):
    """Neither a job nor none."""

    UNKNOWN = 0


UNKNOWN = Unknown.UNKNOWN


def _bytes_of(job: Job) -> int:
    """What varies in a job's size, at most."""
    return len(job.payload) + (MAX_ERROR_BYTES if job.state.error else 0)
