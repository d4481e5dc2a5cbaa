"""The partition of a job's events."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(10_000)  # murmur2 is written in Python, and each event of a job needs it
def partition_of(job_id: str, partitions: int) -> int:
    """Returns the partition of a job's events, as Kafka's default partitioner (murmur2) does."""
    positive: int = murmur2(job_id.encode()) & 0x7FFFFFFF
    return positive % partitions
