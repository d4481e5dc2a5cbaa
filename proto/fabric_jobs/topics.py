"""The topic: its name, its key, and the partition a job's events lie in."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from fabric_jobs.guids import canonical

EVENTS_TOPIC = "fabric.jobs.events"


def canonical_job_id(text: str) -> str:
    """The one spelling of a job instance id: lower-case GUID; ids arrive in any letter case.

    Raises `ValueError` where the text is no GUID.
    """
    return canonical(text)


@lru_cache(10_000)  # murmur2 is written in Python, and each event of a job asks
def partition_of(job_id: str, partitions: int) -> int:
    """The partition that holds all of the job's events: Kafka's default partitioner."""
    positive: int = murmur2(job_id.encode()) & 0x7FFFFFFF
    return positive % partitions
