"""Starts the content of a final job again, as a new job."""

from fabric_jobs.facade.jobs.instance import retry_request
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import RequestRetry
from fabric_jobs.facade.replica import StoredJob


async def retry_job(jobs: Jobs, job_id: str, new_job_id: str) -> StoredJob:
    """Creates a job with this new id and the final job's content. Returns the new job.

    Repeating the call with the same ids is safe. Raises `RefusedError` if the job is not final, if
    there is no such job, or if a job with other content has the new id; raises `UnavailableError`.
    """
    final = await jobs.execute(RequestRetry(job_id=job_id))
    return await jobs.execute(retry_request(final.job, jobs.content(final.job), new_job_id))
