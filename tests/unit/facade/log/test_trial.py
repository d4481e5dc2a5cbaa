"""What a topic's replication means for those who append to it."""

from typing import Any

import pytest

from fabric_jobs.facade.log import LogUnavailableError, Replication, replication
from fabric_jobs.runtime.settings import KafkaSettings


@pytest.mark.parametrize(
    ("replicas", "in_sync", "min_in_sync", "fault"),
    [
        (1, 1, 2, "No append is ever taken"),
        (3, 1, 2, "No append is taken now"),
        (3, 0, 1, "No append is taken now"),
    ],
)
def test_a_topic_that_takes_no_append_is_at_fault(
    replicas: int, in_sync: int, min_in_sync: int, fault: str
) -> None:
    """Now, or whatever is done to its brokers."""
    (told,) = Replication(replicas, in_sync, min_in_sync).faults

    assert told.startswith(fault)


@pytest.mark.parametrize(
    ("replicas", "in_sync", "min_in_sync", "risk"),
    [
        (1, 1, 1, "A broker's disk is the limit"),
        (3, 3, 1, "accepted by a single broker"),
        (2, 2, 2, "while a broker is away"),
    ],
)
def test_a_topic_that_one_broker_can_harm_is_a_risk(
    replicas: int, in_sync: int, min_in_sync: int, risk: str
) -> None:
    """It takes appends, and may lose them or stop."""
    found = Replication(replicas, in_sync, min_in_sync)
    (told,) = found.risks

    assert risk in told
    assert found.faults == []


@pytest.mark.parametrize("in_sync", [2, 3])
def test_three_replicas_of_which_two_take_an_append_are_well(in_sync: int) -> None:
    """Also while one broker is away."""
    found = Replication(3, in_sync, 2)

    assert (found.faults, found.risks) == ([], [])


async def test_a_topic_that_a_broker_does_not_know_yet_is_not_there_yet() -> None:
    """Each learns of a new one in its own time, and any may be asked."""

    class Behind:
        async def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
            return [{"topic": topic, "error_code": 3, "partitions": []} for topic in topics]

    with pytest.raises(LogUnavailableError, match="events is being made"):
        await replication(Behind(), "events", KafkaSettings())
