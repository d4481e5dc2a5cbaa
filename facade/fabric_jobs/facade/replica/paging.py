"""Pages of a list of jobs: a cursor names the place at which a page ends."""

from collections.abc import Sequence
from typing import NamedTuple

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.replica.filter import created_us
from fabric_jobs.facade.replica.stored_job import StoredJob

#: A job's place in a list, which is in this order: its create time in microseconds, and its id.
Cursor = tuple[int, str]


class ListPage(NamedTuple):
    """A page of a list of jobs."""

    jobs: Sequence[StoredJob]
    #: The place of the last job, or None if no other page follows.
    end: Cursor | None


def cursor_of(job: Job) -> Cursor:
    """Returns the job's place in a list."""
    return created_us(job), job.job_id


def cut_page(found: Sequence[StoredJob], size: int) -> ListPage:
    """Returns the first `size` jobs of a query that asked for one job more.

    The additional job shows that another page follows.
    """
    jobs = found[:size]
    return ListPage(jobs, cursor_of(jobs[-1].job) if len(found) > size else None)
