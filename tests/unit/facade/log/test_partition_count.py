"""A topic whose number of partitions is not the expected one."""

from collections.abc import Sequence

import pytest

from fabric_jobs.facade.log import explain_unused, partition_count
from fabric_jobs.facade.log.partition_count import find_partition_faults
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics

SETTINGS = FacadeSettings()


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The partitions that have records."""
    filled = list[int]()

    async def find_filled(_: object, __: str, partitions: Sequence[int]) -> Sequence[int]:
        return [number for number in partitions if number in filled]

    monkeypatch.setattr(partition_count, "find_filled", find_filled)
    return filled


@pytest.mark.parametrize(
    ("count", "numbers", "fault"),
    [
        (23, [], "set FABRIC_JOBS_EVENTS_PARTITIONS=23 for all facades"),
        (24, range(24), None),
        (30, range(24), None),
        (30, [3, 24, 29], "partition 24 has records. Set FABRIC_JOBS_EVENTS_PARTITIONS to"),
    ],
    ids=["fewer", "as expected", "more, without records", "more, with records"],
)
async def test_events_topic_is_refused_unless_the_expected_partitions_hold_all_records(
    filled: list[int], count: int, numbers: Sequence[int], fault: str | None
) -> None:
    """Facades with two numbers would not find each other's jobs."""
    filled += numbers
    faults = await find_partition_faults(count, topics.events(SETTINGS), SETTINGS)

    assert len(faults) == (fault is not None)
    assert all(fault and fault in each for each in faults)


async def test_controls_topic_with_records_in_a_second_partition_is_refused(
    filled: list[int],
) -> None:
    """It is the topic of something else. No setting has its number of partitions."""
    filled += [0, 1]
    (fault,) = await find_partition_faults(3, topics.controls(SETTINGS), SETTINGS)

    assert fault.endswith("but partition 1 has records. Use another topic.")


def test_text_about_unused_partitions_names_the_setting_of_the_events_topic_only() -> None:
    """The number of the controls topic is fixed."""
    events, controls = (
        explain_unused(30, spec) for spec in (topics.events(SETTINGS), topics.controls(SETTINGS))
    )

    assert events.startswith(
        "It has 30 partitions, and facades use the first 24 (FABRIC_JOBS_EVENTS_PARTITIONS)."
    )
    assert controls == "It has 30 partitions, and facades use the first 1."
