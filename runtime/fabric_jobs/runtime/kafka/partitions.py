"""The partition of a job's events."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(10_000)  # murmur2 is written in Python, and each event of a job asks
def partition_of(job_id: str, partitions: int) -> int:
    """The partition that holds all of the job's events: Kafka's default partitioner."""
    positive: int = murmur2(job_id.encode()) & 0x7FFFFFFF
    return positive % partitions
