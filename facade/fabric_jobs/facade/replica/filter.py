"""Which jobs a list holds: asked of one, and as the SQL that finds them without looking at all."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from fabric_jobs.contract.jobs import JobInstanceStatus, Timestamp
from fabric_jobs.facade.lifecycle import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Filter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The jobs that fit every field; an empty field fits any. Ids are in their canonical form."""

    statuses: tuple[JobInstanceStatus, ...] = ()
    job_type: str = ""
    item_type: str = ""
    workspace_id: str = ""
    item_id: str = ""
    #: Only jobs whose attempts are used up.
    exhausted: bool = False
    #: Accepted then or later.
    start_create_time: Timestamp | None = None
    #: Accepted before.
    end_create_time: Timestamp | None = None

    def fits(self, job: Job) -> bool:
        """Whether the job is one of them."""
        state = job.state
        wanted = (
            (self.job_type, state.job_type),
            (self.item_type, state.item_type),
            (self.workspace_id, state.workspace_id),
            (self.item_id, state.item_id),
        )
        return (
            all(text in ("", its) for text, its in wanted)
            and (not self.statuses or state.status in self.statuses)
            and (not self.exhausted or state.exhausted)
            and (not self.start_create_time or self.start_create_time <= state.create_time)
            and (not self.end_create_time or state.create_time < self.end_create_time)
        )

    def where(self) -> tuple[str, list[str | int]]:
        """An SQL condition on the table of jobs, and the values in it."""
        terms, values = self._narrowest_first()
        # Without statistics SQLite would choose any of their indexes: `+` leaves it the first.
        terms = [*terms[:1], *(f"+{term}" for term in terms[1:])]
        if JobInstanceStatus.COMPLETED in self.statuses:
            # Most jobs are: by age they are found as fast, and already in order.
            terms.append(f"+{_one_of('status', self.statuses)}")
            values += self.statuses
        if self.start_create_time:
            terms.append("created_us >= ?")
            values.append(microseconds(self.start_create_time))
        if self.end_create_time:
            terms.append("created_us < ?")
            values.append(microseconds(self.end_create_time))
        return " AND ".join(terms or ["1"]), values

    def _narrowest_first(self) -> tuple[list[str], list[str | int]]:
        """The terms that have an index, in the order of how few jobs each leaves."""
        terms, values = list[str](), list[str | int]()
        if self.item_id:
            terms.append("item_id = ?")
            values.append(self.item_id)
        if self.workspace_id:
            terms.append("workspace_id = ?")
            values.append(self.workspace_id)
        if self.exhausted:
            terms.append("exhausted = 1")
        if self.statuses and JobInstanceStatus.COMPLETED not in self.statuses:
            # The index of statuses has no job that is completed.
            terms.append(f"{_one_of('status', self.statuses)} AND status <> 'Completed'")
            values += self.statuses
        if self.job_type:
            terms.append("job_type = ?")
            values.append(self.job_type)
        if self.item_type:
            terms.append("item_type = ?")
            values.append(self.item_type)
        return terms, values


def created_us(job: Job) -> int:
    """When the job was accepted, in microseconds since 1970: the order of lists."""
    return microseconds(job.state.create_time)


def microseconds(time: datetime) -> int:
    """The time in microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def _one_of(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"
