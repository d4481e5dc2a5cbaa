"""The filter of a list of jobs, as a check of one job and as an SQL condition."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.scalars import Timestamp
from fabric_jobs.facade.lifecycle import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Filter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Selects the jobs that match every field; an empty field matches any job.

    Ids must be in canonical form: lower-case GUIDs.
    """

    statuses: tuple[JobInstanceStatus, ...] = ()
    #: The first characters of the job's id.
    job_id_prefix: str = ""
    tenant_id: str = ""
    job_type: str = ""
    item_type: str = ""
    workspace_id: str = ""
    item_id: str = ""
    #: The executor that got the job's last granted attempt.
    executor_id: str = ""
    #: Whether to select only jobs that failed because their policy allows no further attempt, and
    #: whose place no other job has taken.
    exhausted: bool = False
    #: Whether to select only jobs whose place no other job has taken.
    unreplaced: bool = False
    #: Selects jobs that were accepted at this time or later.
    start_create_time: Timestamp | None = None
    #: Selects jobs that were accepted before this time.
    end_create_time: Timestamp | None = None

    def fits(self, job: Job) -> bool:
        """Whether the job matches every field; it can't tell whether another job took its place."""
        state = job.state
        wanted = (
            (self.job_type, state.job_type),
            (self.item_type, state.item_type),
            (self.workspace_id, state.workspace_id),
            (self.item_id, state.item_id),
            (self.tenant_id, state.tenant_id),
            (self.executor_id, state.executor_id),
        )
        return (
            all(text in ("", its) for text, its in wanted)
            and job.job_id.startswith(self.job_id_prefix)
            and (not self.statuses or state.status in self.statuses)
            and (not self.exhausted or state.exhausted)
            and (not self.start_create_time or self.start_create_time <= state.create_time)
            and (not self.end_create_time or state.create_time < self.end_create_time)
        )

    def where(self) -> tuple[str, list[str | int]]:
        """The SQL condition on the table `jobs`, and the values of its parameters."""
        terms, values = self._indexed_terms()
        # SQLite has no statistics to choose an index by. A `+` before the other terms hides them
        # from it, so that it uses the index of the first.
        terms = [*terms[:1], *(f"+{term}" for term in terms[1:])]
        if JobInstanceStatus.COMPLETED in self.statuses:
            # Most jobs are completed, so an index of statuses would save nothing. The index of ages
            # finds them as fast, and already in order.
            terms.append(f"+{_one_of('status', self.statuses)}")
            values += self.statuses
        if self.exhausted or self.unreplaced:
            terms.append(
                "NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.retry_of = jobs.job_id)"
            )
        if self.start_create_time:
            terms.append("created_us >= ?")
            values.append(microseconds(self.start_create_time))
        if self.end_create_time:
            terms.append("created_us < ?")
            values.append(microseconds(self.end_create_time))
        return " AND ".join(terms or ["1"]), values

    def _indexed_terms(self) -> tuple[list[str], list[str | int]]:
        """The terms that have an index, with their values; the most selective term comes first."""
        terms, values = list[str](), list[str | int]()
        if self.job_id_prefix:
            # `g` comes after every character of an id.
            terms.append("job_id BETWEEN ? AND ?")
            values += self.job_id_prefix, f"{self.job_id_prefix}g"
        if self.item_id:
            terms.append("item_id = ?")
            values.append(self.item_id)
        if self.workspace_id:
            terms.append("workspace_id = ?")
            values.append(self.workspace_id)
        if self.executor_id:
            terms.append("last_executor_id = ?")
            values.append(self.executor_id)
        if self.exhausted:
            terms.append("exhausted = 1")
        if self.statuses and JobInstanceStatus.COMPLETED not in self.statuses:
            # The index of statuses contains no completed jobs, and its condition must be repeated.
            terms.append(f"{_one_of('status', self.statuses)} AND status <> 'Completed'")
            values += self.statuses
        if self.job_type:
            terms.append("job_type = ?")
            values.append(self.job_type)
        if self.item_type:
            terms.append("item_type = ?")
            values.append(self.item_type)
        if self.tenant_id:
            terms.append("tenant_id = ?")
            values.append(self.tenant_id)
        return terms, values


def created_us(job: Job) -> int:
    """When the job was accepted, in microseconds since 1970. Lists are ordered by it."""
    return microseconds(job.state.create_time)


def microseconds(time: datetime) -> int:
    """The time in microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def _one_of(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"
