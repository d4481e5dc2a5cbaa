"""Jobs as handlers see them, which no executor runs."""

from typing import Any

from fabric_jobs.executor import Job


def make_job(payload: object = None, **fields: Any) -> Job[Any]:
    """Returns a job with this payload. `fields` are further fields of `Job`."""
    return Job(
        payload=payload,
        job_id="id",
        attempt=1,
        item_type="Item",
        job_type="job",
        workspace_id="w",
        item_id="i",
        tenant_id="t",
        **fields,
    )
