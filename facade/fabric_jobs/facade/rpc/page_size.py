"""The size of a page of `ListJobs`: in jobs, and in bytes."""

from collections.abc import Sequence

from fabric_jobs.status.v1 import job_status_pb2 as pb

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
#: Bound of the jobs of a page, in bytes. Most gRPC clients refuse a message of more than 4 MiB.
MAX_PAGE_BYTES = 3 * 1024 * 1024
#: Bytes that a job takes in a page beside its own.
_FRAME_BYTES = 6


def count_fitting(jobs: Sequence[pb.Job]) -> int:
    """Returns how many of the first jobs fit a page; one fits always."""
    size = 0
    for count, job in enumerate(jobs):
        size += job.ByteSize() + _FRAME_BYTES
        if size > MAX_PAGE_BYTES and count:
            return count
    return len(jobs)
