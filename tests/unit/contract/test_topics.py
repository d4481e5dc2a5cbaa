"""Keys and partitions of the events."""

from uuid import UUID

import pytest
from aiokafka.partitioner import DefaultPartitioner

from fabric_jobs.contract.topics import EVENTS_TOPIC, canonical_job_id
from fabric_jobs.runtime.kafka.partitions import partition_of

CANONICAL = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
#: Apache Kafka's own test vectors for `Utils.murmur2`, as signed numbers.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def guid(number: int) -> str:
    """One of many well spread ids."""
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


def test_the_topics_name_is_the_contracts() -> None:
    """Every subscriber finds the log by this name."""
    assert EVENTS_TOPIC == "fabric.jobs.events"


@pytest.mark.parametrize(
    "text",
    [CANONICAL, CANONICAL.upper(), CANONICAL.title(), "0F9d2C3e-5b7A-4c1D-8E6f-a0B1c2D3e4F5"],
)
def test_an_id_in_any_letter_case_is_one_job(text: str) -> None:
    """All spellings of a job's id have one canonical form, which is the lower-case one."""
    assert canonical_job_id(text) == CANONICAL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job-1",
        CANONICAL[:-1],
        CANONICAL + "0",
        CANONICAL.replace("f", "g"),
        # Python's UUID reads a number of 32 characters, as `int` would.
        "+" + CANONICAL[1:],
        "0x" + CANONICAL[2:],
        "0_9" + CANONICAL[3:],
        " " + CANONICAL[1:],
        "٣" + CANONICAL[1:],
    ],
)
def test_what_is_no_guid_is_refused(text: str) -> None:
    """A text that isn't 32 hexadecimal digits names no job, and surely not another one."""
    with pytest.raises(ValueError, match=r".+"):
        canonical_job_id(text)


@pytest.mark.parametrize(("key", "hashed"), MURMUR2.items())
@pytest.mark.parametrize("partitions", [1, 4, 24, 1_000])
def test_the_partition_is_the_one_that_java_would_choose(
    key: str, hashed: int, partitions: int
) -> None:
    """Kafka's default partitioner: murmur2 without its sign, modulo the partitions."""
    assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


@pytest.mark.parametrize("partitions", [1, 4, 24])
def test_the_partition_is_the_one_that_aiokafka_would_choose(partitions: int) -> None:
    """What the producer's default does with the same key, whatever else writes to the topic."""
    every = list(range(partitions))
    partitioner = DefaultPartitioner()
    for number in range(200):
        job_id = guid(number)
        assert partition_of(job_id, partitions) == partitioner(job_id.encode(), every, [])


def test_jobs_spread_over_all_partitions() -> None:
    """No partition of 24 is left empty by 1,000 jobs."""
    ids = (guid(number) for number in range(1_000))
    spread = {partition_of(job_id, 24) for job_id in ids}
    assert spread == set(range(24))
