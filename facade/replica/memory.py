"""The store's memory: jobs that wait to be written, and those that are asked for most."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from fabric_jobs.jobs import MAX_ERROR_BYTES
from facade.lifecycle import Job

#: Jobs that wait to be written, and the bytes of their payloads and errors: few enough that writing
#: them keeps nobody waiting, many enough that a transaction touches its pages for several of them.
MOST_WAITING = 5000
MOST_WAITING_BYTES = 8 * 1024 * 1024
#: Jobs that stay once they were looked up in the file, and the same bytes of each.
MOST_LOOKED_UP = 5000
SMALL_BYTES = 4096


class Entry(NamedTuple):
    """A job, and where in the log its last applied event stands."""

    job: Job
    partition: int
    offset: int
    #: The broker's time of the job's first record, in milliseconds since 1970.
    first_ms: int


class Memory:
    """Jobs by their ids; what is put here is newer than what the file has."""

    def __init__(self) -> None:
        self._waiting: dict[str, Entry] = {}
        self._waiting_bytes = 0
        self._written: dict[str, Entry] = {}
        #: None where there is no such job: whoever creates one asks for it again and again.
        self._looked_up: dict[str, Entry | None] = {}

    @property
    def waiting(self) -> Mapping[str, Entry]:
        """The jobs that the file does not have as they are."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether no more should wait."""
        return len(self._waiting) >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES

    def put(self, entry: Entry) -> None:
        """The job as it is now."""
        job_id = entry.job.job_id
        if replaced := self._waiting.get(job_id):
            self._waiting_bytes -= _bytes_of(replaced.job)
        self._waiting[job_id] = entry
        self._waiting_bytes += _bytes_of(entry.job)
        self._looked_up.pop(job_id, None)

    def get(self, job_id: str) -> "Entry | Unknown | None":
        """The job, or that there is none, or that the file must say."""
        return (
            self._waiting.get(job_id)
            or self._written.get(job_id)
            or self._looked_up.get(job_id, UNKNOWN)
        )

    def look_up(self, job_id: str, entry: Entry | None) -> None:
        """What the file said."""
        if entry is None or _bytes_of(entry.job) <= SMALL_BYTES:
            if len(self._looked_up) >= MOST_LOOKED_UP:
                self._looked_up.clear()
            self._looked_up[job_id] = entry

    def written(self) -> None:
        """The file has what waited."""
        self._written, self._waiting, self._waiting_bytes = self._waiting, {}, 0

    def forget(self) -> None:
        """Holds nothing any more, whether it was written or not."""
        self.written()
        self._written = {}
        self._looked_up.clear()


class Unknown(Enum):
    """Neither a job nor none."""

    UNKNOWN = 0


UNKNOWN = Unknown.UNKNOWN


def _bytes_of(job: Job) -> int:
    """What varies in a job's size, at most."""
    return len(job.payload) + (MAX_ERROR_BYTES if job.state.error else 0)
