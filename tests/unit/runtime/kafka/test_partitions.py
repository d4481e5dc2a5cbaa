"""The partition of a job's events."""

from uuid import UUID

import pytest
from aiokafka.partitioner import DefaultPartitioner

from fabric_jobs.runtime.kafka.partitions import partition_of

#: The test vectors of Apache Kafka's own `Utils.murmur2`, as signed numbers.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def guid(number: int) -> str:
    """Returns one of many ids that are spread over all GUIDs."""
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


@pytest.mark.parametrize(("key", "hashed"), MURMUR2.items())
@pytest.mark.parametrize("partitions", [1, 4, 24, 1_000])
def test_partition_of_a_key_is_that_of_kafkas_java_client(
    key: str, hashed: int, partitions: int
) -> None:
    """The default partitioner takes murmur2 without its sign, modulo the number of partitions."""
    assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


@pytest.mark.parametrize("partitions", [1, 4, 24])
def test_partition_of_a_key_is_that_of_aiokafka(partitions: int) -> None:
    """A producer with aiokafka's default partitioner chooses the same partition."""
    every = list(range(partitions))
    partitioner = DefaultPartitioner()
    for number in range(200):
        job_id = guid(number)
        assert partition_of(job_id, partitions) == partitioner(job_id.encode(), every, [])


def test_partition_of_many_jobs_covers_all_partitions() -> None:
    """1,000 jobs leave none of 24 partitions empty."""
    ids = (guid(number) for number in range(1_000))
    assert {partition_of(job_id, 24) for job_id in ids} == set(range(24))
