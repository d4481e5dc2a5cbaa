"""Judges a world with the validators of the chaos suite, and with those of its own."""

import json
from collections.abc import Iterator

from fabric_jobs.contract.failures import DEFAULT_LONGEST_LIFE, START_DEADLINE
from fabric_jobs.facade.log import Record
from tests.chaos import replicas
from tests.chaos.evidence import Evidence
from tests.chaos.model import Model
from tests.chaos.validate import validate
from tests.simulation import handlers
from tests.simulation.leases import find_robbed_runs
from tests.simulation.world import World


def judge(world: World) -> dict[str, list[str]]:
    """Returns the breaches that each validator found in a world that has ended."""
    records, model = world.records(), Model()
    for record in records:
        model.read(record.partition, record.offset, record.value)
    evidence = Evidence(
        world.traffic.history,
        handlers.JOURNAL,
        model,
        {place: one for executor in world.executors for place, one in executor.ids.items()},
        world.log_away,
        handlers.ALL_KINDS,
    )
    breaches = validate(evidence)
    breaches["wrong_ends"] = [
        breach for breach in breaches["wrong_ends"] if not _is_excused(world, breach)
    ]
    breaches["replica_differences"] = list(_differences(world, model, records))
    breaches["lost_checkpoints"] = list(_lost_checkpoints(records))
    breaches["robbed"] = list(find_robbed_runs(world, model, records))
    if world.is_harmless:
        breaches["innocent"] = list(_innocent(records))
    breaches["wrong_conflicts"] = [
        f"{job}: a create with another payload was answered with {code}"
        for job, code in world.traffic.conflicts
        if code not in (409, 503, 0)
    ]
    breaches["ended_by_itself"] = [one for node in world.nodes for one in node.complaints]
    breaches["defects"] = world.loop.defects
    return {name: found for name, found in breaches.items() if found}


def _is_excused(world: World, breach: str) -> bool:
    """Returns whether leaps of hours explain that a job was not started or finished in time."""
    late = (
        ("JobNotStarted", START_DEADLINE),
        ("JobTypePaused", START_DEADLINE),
        ("JobExpired", DEFAULT_LONGEST_LIFE),
    )
    return any(
        breach.endswith(code) and world.leaped_s > 0.5 * limit.total_seconds()
        for code, limit in late
    )


def _lost_checkpoints(records: list[Record]) -> Iterator[str]:
    """A further attempt gets the last checkpoint that was applied before it."""
    last: dict[str, tuple[int, object]] = {}
    for record in records:
        event = json.loads(record.value or b"{}")
        job, data = event.get("subject", ""), event.get("data", {})
        number, checkpoint = last.get(job, (0, None))
        if data.get("sequence") != number + 1:
            continue
        dispatched = data.get("dispatch", {}).get("checkpoint")
        if event["type"].endswith("requeued") and dispatched != checkpoint:
            yield f"{job}: attempt got the checkpoint {dispatched}, but {checkpoint} was the last"
        last[job] = number + 1, data.get("checkpoint", checkpoint)


def _innocent(records: list[Record]) -> Iterator[str]:
    """No run is lost where no node, stream or way to Kafka was disturbed."""
    for record in records:
        if b'"LeaseLost"' in (record.value or b"") or b'"ExecutorLost"' in (record.value or b""):
            yield f"{json.loads(record.value or b'')['subject']}: lost its run without a reason"


def _differences(world: World, model: Model, records: list[Record]) -> Iterator[str]:
    scratch, partitions = world.folder / "fold.sqlite", world.shape.partitions
    for facade in world.facades:
        if facade.state_dir and (facade.state_dir / replicas.FILE).exists():
            yield from replicas.differences(facade.state_dir, records, scratch, partitions)
    yield from replicas.disagreements(model, records, scratch, partitions)
