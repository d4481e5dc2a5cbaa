"""A kind of world of its own: the brokers lose records, as after an unclean leader election.

No promise holds for a job whose records are lost. The verdict is that each replica that had applied
a lost record reports the loss if it reads on; that the replicas become alike again; that every
other job ends; and that nothing else is lost.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from random import Random
from typing import Any
from unittest.mock import patch

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from fabric_jobs.facade.log.verification import Verification
from fabric_jobs.facade.replica import Replica
from tests.simulation.coverage import Coverage
from tests.simulation.faults import UNCLEAN, Fault, make_script
from tests.simulation.judge import judge
from tests.simulation.kafka import EVENTS, KafkaCluster, Stored
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
        #: The records that each replica has applied since its last reset, by partition and offset.
        self._applied: defaultdict[Replica, dict[tuple[int, int], bytes | None]] = defaultdict(dict)
        #: The partition that has lost records, and its log.
        self._partition = TopicPartition(EVENTS, -1)
        self._log: list[Stored] = []
        #: Where the lost records were in the log.
        self._lost = slice(0)
        #: The replicas that had applied lost records, each with these records by their offsets.
        self.holders: dict[Replica, dict[int, bytes | None]] = {}
        #: The names of the facades of those holders that fetched a record in the place of a lost
        #: record or behind it, or forgot their jobs to read the log again.
        self.continued: dict[Replica, str] = {}
        #: The replicas whose alert of a fork was raised because of missing records.
        self.alerted: set[Replica] = set()

    @property
    def unnoticed(self) -> list[str]:
        """The facades whose replica read on with a lost record, and raised no alert."""
        return [name for replica, name in self.continued.items() if replica not in self.alerted]

    @property
    def replaced_by(self) -> list[bytes | None]:
        """The records that have taken the places of the lost ones."""
        return [one.value for one in self._log[self._lost]]

    def _first_loss(self, replica: Replica) -> float:
        """Returns the offset of the first record that a holder had applied and the log lacks.

        The offset is infinite if each of these records was appended again at its offset.
        """
        log = self._log
        for offset, value in self.holders[replica].items():
            if offset >= len(log) or log[offset].value != value:
                return offset
        return inf

    @contextmanager
    def observe(self, is_disturbed: Callable[[], bool]) -> Iterator[None]:
        """Observes until the block ends."""
        apply, reset, lose = Replica.apply, Replica.reset, KafkaCluster.lose
        note_fetched = Verification.note_fetched

        def observed_apply(replica: Replica, records: Any, positions: Any) -> None:
            self._applied[replica].update(
                {(one.partition, one.offset): one.value for one in records}
            )
            apply(replica, records, positions)

        def observed_reset(replica: Replica) -> None:
            self._applied.pop(replica, None)
            if replica in self.holders and self._first_loss(replica) < inf:
                self.continued.setdefault(replica, current_place().name)
            reset(replica)

        def observed_lose(
            cluster: KafkaCluster, partition: TopicPartition, count: int
        ) -> list[Stored]:
            lost = lose(cluster, partition, count)
            self._partition, self._log = partition, cluster.logs[partition]
            self._lost = slice(len(self._log), len(self._log) + len(lost))
            for replica, applied in self._applied.items():
                held = {
                    offset: one.value
                    for offset, one in enumerate(lost, len(self._log))
                    if applied.get((partition.partition, offset)) == one.value
                }
                if held:
                    self.holders[replica] = held
            return lost

        def observed_fetch(
            verification: Verification, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]
        ) -> None:
            # The tail has compared these records with what it had applied. A replica that ended
            # before had no chance to notice the loss. Records that it applied when Kafka
            # acknowledged them give no chance either: they are compared when they are fetched.
            note_fetched(verification, fetched)
            replica, log = verification._reader, self._log
            if not isinstance(replica, Replica) or replica not in self.holders:
                return
            first = self._first_loss(replica)
            for one in fetched.get(self._partition, ()):
                # A fetch that was on its way during the loss may still bring lost records.
                if first <= one.offset < len(log) and log[one.offset].value == one.value:
                    self.continued.setdefault(replica, current_place().name)

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
            patch.object(Replica, "reset", observed_reset),
            patch.object(KafkaCluster, "lose", observed_lose),
            patch.object(Verification, "note_fetched", observed_fetch),
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
    # A replica that had applied a lost record lacks the record in its place until its next fetch.
    hidden = {_job_of(value) for value in notices.replaced_by}
    breaches["not_linearizable"] = [
        one for one in breaches.get("not_linearizable", ()) if not any(job in one for job in hidden)
    ]
    breaches["unnoticed"] = [
        f"the replica of {name} had applied a record that was lost, and read on"
        for name in notices.unnoticed
    ]
    return {name: found for name, found in breaches.items() if found}


def _job_of(value: bytes | None) -> str:
    job: str = json.loads(value or b"")["subject"]
    return job
