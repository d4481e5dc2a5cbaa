"""What a topic's replication means for appends."""

from typing import Any

import pytest

from fabric_jobs.facade.log import LogUnavailableError, Replication, describe_replication
from fabric_jobs.runtime.settings import KafkaSettings


@pytest.mark.parametrize(
    ("replicas", "in_sync", "min_in_sync", "fault"),
    [
        (1, 1, 2, "No append is ever accepted"),
        (3, 1, 2, "No append is accepted now"),
        (3, 0, 1, "No append is accepted now"),
    ],
)
def test_replication_that_accepts_no_append_has_a_fault(
    replicas: int, in_sync: int, min_in_sync: int, fault: str
) -> None:
    """The fault says whether the topic never accepts appends, or does not accept them now."""
    (sentence,) = Replication(4, replicas, in_sync, min_in_sync).faults

    assert sentence.startswith(fault)


@pytest.mark.parametrize(
    ("replicas", "in_sync", "min_in_sync", "risk"),
    [
        (1, 1, 1, "if the only replica's disk is lost"),
        (3, 3, 1, "accepted by a single broker"),
        (2, 2, 2, "while a broker is away"),
    ],
)
def test_replication_that_one_broker_can_break_has_a_risk(
    replicas: int, in_sync: int, min_in_sync: int, risk: str
) -> None:
    """The topic accepts appends, but the failure of one broker can lose or stop them."""
    found = Replication(4, replicas, in_sync, min_in_sync)
    (sentence,) = found.risks

    assert risk in sentence
    assert found.faults == []


@pytest.mark.parametrize("in_sync", [2, 3])
def test_replication_of_3_with_min_in_sync_2_has_no_fault_and_no_risk(in_sync: int) -> None:
    """This holds also while one broker is away."""
    found = Replication(4, 3, in_sync, 2)

    assert (found.faults, found.risks) == ([], [])


async def test_describe_replication_of_topic_unknown_to_the_broker_is_unavailable() -> None:
    """After a topic is created, each broker learns of it in its own time, and any may be asked."""

    class Behind:
        async def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
            return [{"topic": topic, "error_code": 3, "partitions": []} for topic in topics]

    with pytest.raises(LogUnavailableError, match="events is being created"):
        await describe_replication(Behind(), "events", KafkaSettings())
