"""The topic of the job events: its name, and its key, which is the job instance id."""

from fabric_jobs.contract.guids import canonical_guid

EVENTS_TOPIC = "fabric.jobs.events"


def canonical_job_id(text: str) -> str:
    """Returns the lower-case form of a job instance id, which arrives in any letter case.

    Raises `ValueError` if the text is not a GUID.
    """
    return canonical_guid(text)
