"""A kind of world of its own: the brokers lose records, as after an unclean leader election.

No promise holds for a job whose records are lost. The verdict is that, if a replica had applied a
lost record, the alert of a fork names its job or a replica reads the log again because it is
another one; that the replicas become alike again; and that nothing else is lost.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from fabric_jobs.facade.lifecycle import Verdict, fold
from fabric_jobs.facade.log.tail import Tail
from fabric_jobs.facade.replica import Replica
from tests.simulation.coverage import Coverage
from tests.simulation.faults import UNCLEAN, Fault, make_script
from tests.simulation.judge import judge
from tests.simulation.run import FAULT_RATE_PER_S, Result, run_world
from tests.simulation.substitutes import substituted
from tests.simulation.world import Shape, World


class Notices(Coverage):
    """Observes what replicas applied, and what they notice of a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: set[bytes | None] = set()
        #: The jobs that the alerts of a fork name.
        self.named: set[str] = set()
        #: How often a replica read the log from its beginning again.
        self.rereads = 0

    @contextmanager
    def observe(self, is_disturbed: Callable[[], bool]) -> Iterator[None]:
        """Observes until the block ends."""
        apply, report_lost, begin_again = Replica.apply, Tail._report_lost, Tail._begin_again

        def observed_apply(replica: Replica, records: Any, positions: Any) -> None:
            self.applied.update(one.value for one in records)
            apply(replica, records, positions)

        def observed_report(tail: Tail, partition: int, lost: Any) -> None:
            self.named.add(lost.key.decode())
            report_lost(tail, partition, lost)

        def observed_begin_again(tail: Tail) -> None:
            self.rereads += 1
            begin_again(tail)

        def observed_fold(job: Any, event: Any) -> Any:
            verdict, after = fold(job, event)
            if verdict is Verdict.FORKED:
                self.named.add(event.subject)
            return verdict, after

        with (
            patch.object(Replica, "apply", observed_apply),
            patch.object(Tail, "_report_lost", observed_report),
            patch.object(Tail, "_begin_again", observed_begin_again),
            substituted({fold: observed_fold}),
        ):
            yield


def run_unclean_world(
    seed: str,
    *,
    shape: Shape | None = None,
    script: Sequence[Fault] | None = None,
    notices: Notices | None = None,
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
        judge=lambda world: _judge(world, notices),
    )


def _judge(world: World, notices: Notices) -> dict[str, list[str]]:
    lost = {_job_of(one.value): one.value for one in world.lost_records}
    breaches = {
        name: [one for one in found if not any(job in one for job in lost)]
        for name, found in judge(world).items()
    }
    breaches["unnoticed"] = [
        f"{job}: a replica had applied a record that was lost, and no replica noticed the loss"
        for job, value in lost.items()
        if value in notices.applied and job not in notices.named and not notices.rereads
    ]
    return {name: found for name, found in breaches.items() if found}


def _job_of(value: bytes | None) -> str:
    job: str = json.loads(value or b"")["subject"]
    return job
