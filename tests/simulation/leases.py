"""Judges lost leases: no executor loses a run that its own heartbeats on the topic still list."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from fabric_jobs.contract import heartbeats
from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from fabric_jobs.facade.log import Record
from tests.chaos.model import Model
from tests.simulation.kafka import HEARTBEATS
from tests.simulation.world import World

LEASE_S = 30.0
#: Seconds between a facade's last look at the heartbeats and its decision, at most.
DECIDING_S = 14.0


def find_robbed_runs(world: World, model: Model, records: list[Record]) -> Iterator[str]:
    """Yields the runs that were taken although their executor had listed them within the lease.

    A decision has the time of its facade's clock, so worlds with wrong clocks are not judged.
    """
    if "clock step" in world.fault_names:
        return
    listed = _listed_at(world)
    holders = {
        Run(job, one.attempt): one.executor
        for job, found in model.jobs.items()
        for one in found.applied
        if one.type == "started"
    }
    for record in records:
        value = record.value or b""
        if b"LeaseLost" not in value and b"ExecutorLost" not in value:
            continue
        event = json.loads(value)
        state, kind = event["data"]["state"], event["type"].rpartition(".")[2]
        lost = kind == "requeued" and event["data"].get("reason") == "LeaseLost"
        attempt = state["attempt"] - 1 if lost else state["attempt"]
        code = (state.get("error") or {}).get("errorCode")
        if not lost and (kind != "failed" or code != "ExecutorLost"):
            continue
        decided_at = datetime.fromisoformat(event["time"]).timestamp()
        run = Run(event["subject"], attempt)
        for at in listed[holders.get(run, ""), run]:
            if decided_at - LEASE_S + 1.0 < at < decided_at - DECIDING_S:
                yield (
                    f"{event['subject']}: attempt {attempt} lost its lease {decided_at - at:.1f} s "
                    "after a heartbeat that lists it"
                )
                break


def _listed_at(world: World) -> dict[tuple[str, Run], list[float]]:
    """Returns, by executor and run, the times of the executor's heartbeats that list the run.

    The times are in seconds since 1970.
    """
    found: defaultdict[tuple[str, Run], list[float]] = defaultdict(list)
    for partition, log in world.cluster.logs.items():
        if partition.topic != HEARTBEATS:
            continue
        for stored in log:
            heartbeat = heartbeats.decode(stored.value)
            if isinstance(heartbeat, ExecutorHeartbeat):
                for run in heartbeat.runs:
                    found[heartbeat.executor_id, run].append(stored.time_ms / 1000)
    return found
