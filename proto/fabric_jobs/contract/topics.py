"""The topic of job events: its name and its key."""

from fabric_jobs.contract.guids import canonical

EVENTS_TOPIC = "fabric.jobs.events"


def canonical_job_id(text: str) -> str:
    """The one spelling of a job instance id: lower-case GUID; ids arrive in any letter case.

    Raises `ValueError` where the text is no GUID.
    """
    return canonical(text)
