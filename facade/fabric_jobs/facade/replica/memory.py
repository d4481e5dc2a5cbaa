"""The store's jobs in memory: a buffer of those to be written, and a cache of those in the file."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum

from fabric_jobs.contract.errors import MAX_ERROR_BYTES
from fabric_jobs.facade.lifecycle import Job, next_deadline
from fabric_jobs.facade.replica.stored_job import StoredJob

#: How many jobs may be pending, and how many bytes their payloads and errors may have. A batch of
#: so many jobs changes several rows on each page that it touches.
MAX_PENDING = 5000
MAX_PENDING_BYTES = 8 * 1024 * 1024
#: How many jobs of the file are cached, and the bytes of payload and error that each may have.
MAX_CACHED = 5000
MAX_CACHED_JOB_BYTES = 4096


class NotInMemory(Enum):
    """The type of `NOT_IN_MEMORY`, which mypy needs to tell it from a job."""

    NOT_IN_MEMORY = 0


#: The answer for an id that only the file can tell about.
NOT_IN_MEMORY = NotInMemory.NOT_IN_MEMORY


class Memory:
    """Jobs by their ids; a job here is never older than its row in the file.

    A job is *pending* until the writer takes it in a batch, and *unwritten* until that batch is in
    the file.
    """

    def __init__(self, longest_life: timedelta) -> None:
        """`longest_life` is the service's longest life of a job."""
        self._longest_life = longest_life
        self._unwritten: dict[str, StoredJob] = {}
        #: The unwritten jobs that are not final, and how many each tenant has of them.
        self._unfinished: dict[str, StoredJob] = {}
        self._unfinished_by_tenant = Counter[str]()
        #: When each unfinished job is due; None for never. The first call that needs it fills it.
        self._due_at: dict[str, datetime | None] = {}
        self._pending: dict[str, StoredJob] = {}
        self._pending_bytes = 0
        #: The jobs of the last batch that was written.
        self._written: Mapping[str, StoredJob] = {}
        #: Jobs as they were found in the file, and None for ids that are no jobs: a create asks for
        #: its own new id several times.
        self._cache: dict[str, StoredJob | None] = {}

    @property
    def unwritten(self) -> Mapping[str, StoredJob]:
        """The jobs whose rows in the file are missing or out of date."""
        return self._unwritten

    @property
    def unfinished(self) -> Collection[StoredJob]:
        """The unwritten jobs that are not final."""
        return self._unfinished.values()

    def count_unfinished(self, tenant_id: str) -> int:
        """How many unwritten jobs of the tenant are not final."""
        return self._unfinished_by_tenant[tenant_id]

    def due_jobs(self, now: datetime) -> Iterator[tuple[datetime, StoredJob]]:
        """The unwritten jobs whose next deadline has come, each with the deadline's time."""
        for job_id, stored in self._unfinished.items():
            if job_id not in self._due_at:
                deadline = next_deadline(stored.job, self._longest_life)
                self._due_at[job_id] = deadline.time if deadline else None
            due_at = self._due_at[job_id]
            if due_at and due_at <= now:
                yield due_at, stored

    @property
    def is_full(self) -> bool:
        """Whether the pending jobs should be written before more are put."""
        return len(self._pending) >= MAX_PENDING or self._pending_bytes >= MAX_PENDING_BYTES

    def put(self, stored: StoredJob) -> None:
        """Takes a new or changed job, which is pending now."""
        job_id = stored.job.job_id
        if replaced := self._pending.get(job_id):
            self._pending_bytes -= _variable_bytes(replaced.job)
        self._unwritten[job_id] = self._pending[job_id] = stored
        self._pending_bytes += _variable_bytes(stored.job)
        self._drop_unfinished(job_id)
        if not stored.job.final:
            self._unfinished[job_id] = stored
            self._unfinished_by_tenant[stored.job.state.tenant_id] += 1
        self._cache.pop(job_id, None)

    def get(self, job_id: str) -> "StoredJob | NotInMemory | None":
        """The job, or None if there is none, or `NOT_IN_MEMORY` if only the file can tell."""
        return (
            self._unwritten.get(job_id)
            or self._written.get(job_id)
            or self._cache.get(job_id, NOT_IN_MEMORY)
        )

    def cache(self, job_id: str, stored: StoredJob | None) -> None:
        """Keeps what the file has for this id, unless the job is too large."""
        if stored is None or _variable_bytes(stored.job) <= MAX_CACHED_JOB_BYTES:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[job_id] = stored

    def take_pending(self) -> Mapping[str, StoredJob]:
        """The pending jobs, for one batch; none is pending afterwards."""
        taken, self._pending, self._pending_bytes = self._pending, {}, 0
        self._written = {}
        return taken

    def mark_written(self, taken: Mapping[str, StoredJob]) -> None:
        """Records that the file has this batch, which `take_pending` returned."""
        for job_id, stored in taken.items():
            # A job that has changed since it was taken stays unwritten.
            if self._unwritten[job_id] is stored:
                del self._unwritten[job_id]
                self._drop_unfinished(job_id)
        self._written = taken

    def clear(self) -> None:
        """Forgets all jobs."""
        self._unwritten.clear()
        self._unfinished.clear()
        self._unfinished_by_tenant.clear()
        self._due_at.clear()
        self._pending, self._pending_bytes = {}, 0
        self._written = {}
        self._cache.clear()

    def _drop_unfinished(self, job_id: str) -> None:
        if stored := self._unfinished.pop(job_id, None):
            self._due_at.pop(job_id, None)
            tenant_id = stored.job.state.tenant_id
            self._unfinished_by_tenant[tenant_id] -= 1
            if not self._unfinished_by_tenant[tenant_id]:
                del self._unfinished_by_tenant[tenant_id]


def _variable_bytes(job: Job) -> int:
    """An upper bound of what varies in a job's size: its content, its checkpoint, its error."""
    error_bytes = MAX_ERROR_BYTES + len(job.log_tail) if job.state.error else 0
    return len(job.payload) + len(job.definition) + len(job.checkpoint or b"") + error_bytes
