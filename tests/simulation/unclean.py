"""A kind of world of its own: the brokers lose records, as after an unclean leader election.

No promise holds for a job whose records are lost. The verdict is that each replica that had applied
a lost record reports the loss if it reads on; that the replicas become alike again; that every
other job ends; and that nothing else is lost.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from fabric_jobs.facade.log.verification import Verification
from fabric_jobs.facade.replica import Replica
from tests.simulation.coverage import Coverage
from tests.simulation.faults import UNCLEAN, Fault, make_script
from tests.simulation.judge import judge
from tests.simulation.kafka import KafkaCluster, Stored
from tests.simulation.loop import current_place
from tests.simulation.run import FAULT_RATE_PER_S, Result, run_world
from tests.simulation.world import Shape, World

#: The breaches that are none of the lost jobs' own.
ABOUT_ALL = {"replica_differences", "ended_by_itself", "defects"}


class Notices(Coverage):
    """Observes which replicas applied records that are lost later, and which report the loss.

    A replica is another one after each start, also of a facade that builds a damaged state again.
    """

    def __init__(self) -> None:
        super().__init__()
        #: The events that each replica has applied.
        self._applied: defaultdict[Replica, set[bytes | None]] = defaultdict(set)
        self._partition = -1
        #: The replicas that had applied a lost record.
        self.holders: set[Replica] = set()
        #: Those of them that applied further records of the partition, with the names of their
        #: facades.
        self.continued: dict[Replica, str] = {}
        #: The replicas whose alert of a fork was raised because of missing records.
        self.alerted: set[Replica] = set()

    @property
    def unnoticed(self) -> list[str]:
        """The facades whose replica read on with a lost record, and raised no alert."""
        return [name for replica, name in self.continued.items() if replica not in self.alerted]

    @contextmanager
    def observe(self, is_disturbed: Callable[[], bool]) -> Iterator[None]:
        """Observes until the block ends."""
        apply, lose = Replica.apply, KafkaCluster.lose

        def observed_apply(replica: Replica, records: Any, positions: Any) -> None:
            self._applied[replica].update(one.value for one in records)
            is_holder = replica in self.holders
            if is_holder and any(one.partition == self._partition for one in records):
                self.continued[replica] = current_place().name
            apply(replica, records, positions)

        def observed_lose(cluster: KafkaCluster, partition: Any, count: int) -> list[Stored]:
            lost = lose(cluster, partition, count)
            self._partition = partition.partition
            for replica, applied in self._applied.items():
                if any(one.value in applied for one in lost):
                    self.holders.add(replica)
            return lost

        def observed_report(original: Callable[..., None]) -> Callable[..., None]:
            def report(verification: Verification, *arguments: Any) -> None:
                before = verification.lost_records
                original(verification, *arguments)
                # The alert counts this number.
                reader = verification._reader
                if isinstance(reader, Replica) and verification.lost_records > before:
                    self.alerted.add(reader)

            return report

        with (
            patch.object(Replica, "apply", observed_apply),
            patch.object(KafkaCluster, "lose", observed_lose),
            patch.object(Verification, "report", observed_report(Verification.report)),
            patch.object(Verification, "report_lost", observed_report(Verification.report_lost)),
        ):
            yield


def run_unclean_world(
    seed: str,
    *,
    shape: Shape | None = None,
    script: Sequence[Fault] | None = None,
    notices: Notices | None = None,
    logs: bool = False,
) -> Result:
    """Runs the world of a seed with a loss of records; `script` replaces what the seed says."""
    shape, notices = shape or Shape.of(seed), notices or Notices()
    if script is None:
        dice = Random(f"{seed} losses")
        loss = Fault(dice.uniform(5, shape.seconds), UNCLEAN, 0.0, dice.randrange(1000))
        usual = make_script(seed, shape.seconds, FAULT_RATE_PER_S)
        script = sorted([*usual, loss], key=lambda one: one.at)
    return run_world(
        seed,
        shape=shape,
        script=script,
        coverage=notices,
        logs=logs,
        judge=lambda world: _judge(world, notices),
    )


def _judge(world: World, notices: Notices) -> dict[str, list[str]]:
    kept = {one.value for one in world.records()}
    # A producer may have appended a lost record again.
    lost = {_job_of(one.value) for one in world.lost_records if one.value not in kept}
    breaches = {
        name: [one for one in found if name in ABOUT_ALL or not any(job in one for job in lost)]
        for name, found in judge(world).items()
    }
    breaches["unnoticed"] = [
        f"the replica of {name} had applied a record that was lost, and read on"
        for name in notices.unnoticed
    ]
    return {name: found for name, found in breaches.items() if found}


def _job_of(value: bytes | None) -> str:
    job: str = json.loads(value or b"")["subject"]
    return job
