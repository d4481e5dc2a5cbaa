"""Verifies a topic's number of partitions, from which the partition of a key follows."""

from collections.abc import Sequence

from fabric_jobs.facade.log.scan import find_filled
from fabric_jobs.facade.log.topic_spec import TopicSpec
from fabric_jobs.runtime.settings import KafkaSettings


async def find_partition_faults(
    count: int, spec: TopicSpec, settings: KafkaSettings
) -> Sequence[str]:
    """Returns why facades can't use the topic, which has `count` partitions; empty if they can.

    Raises as `find_filled` does.
    """
    if not spec.exact_partitions or count == spec.partitions:
        return []
    if count < spec.partitions:
        return [
            f"It has {count} partitions and {spec.partitions} are expected. If no facade has used "
            f"it yet, set {spec.partitions_setting}={count} for all facades. Otherwise set the "
            "value that they had: a job's partition follows from it."
        ]
    # Somebody may have raised the number: then facades have written to the first ones only.
    filled = await find_filled(settings, spec.name, range(spec.partitions, count))
    if not filled:
        return []
    advice = "Use another topic."
    if spec.partitions_setting:
        advice = (
            f"Set {spec.partitions_setting} to the value of the facades that use the topic: a "
            "job's partition follows from it."
        )
    return [
        f"It has {count} partitions and {spec.partitions} are expected, but partition {filled[0]} "
        f"has records. {advice}"
    ]


def explain_unused(count: int, spec: TopicSpec) -> str:
    """Returns sentences about a topic that has more partitions (`count`) than are used."""
    if not spec.partitions_setting:
        return f"It has {count} partitions, and facades use the first {spec.partitions}."
    return (
        f"It has {count} partitions, and facades use the first {spec.partitions} "
        f"({spec.partitions_setting}). Leave that setting as it is if a facade has used the topic: "
        "a job's partition follows from it."
    )
