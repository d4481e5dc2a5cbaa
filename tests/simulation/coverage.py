"""Counts what happened under faults, so that a run can name what never did.

It observes the product's own `decide` and `fold`, wherever a module of the product names them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.lifecycle import Reason, Refusal, Verdict, decide, fold
from fabric_jobs.facade.lifecycle.table import TABLE
from tests.simulation.substitutes import substituted

#: What no simulated world can reach, each with its reason.
EXCLUDED = {
    f"verdict {Verdict.FORKED.value}": "Only a log that loses records is forked.",
    f"refusal {Reason.SEALED.name}": "The facades of the worlds have no keys.",
    f"refusal {Reason.NOT_CANCELLED.name}": "Our executor reports `stopped` only after a cancel.",
}


def all_targets() -> set[str]:
    """Returns the names of every transition, refusal and verdict that a run must reach."""
    transitions = {
        _transition(str(phase), event) for phase, events in TABLE.items() for event in events
    }
    refusals = {f"refusal {reason.name}" for reason in Reason}
    verdicts = {f"verdict {verdict.value}" for verdict in Verdict}
    return (transitions | refusals | verdicts) - EXCLUDED.keys()


class Coverage:
    """The numbers of transitions, refusals and verdicts that happened under a fault."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def missing(self) -> list[str]:
        """Returns the names of what never happened."""
        return sorted(all_targets() - self.counts.keys())

    @contextmanager
    def observe(self, is_disturbed: Callable[[], bool]) -> Iterator[None]:
        """Counts until the block ends, while `is_disturbed` is true."""

        def observed_decide(job: Any, command: Any, stamp: Any) -> Any:
            decision = decide(job, command, stamp)
            if isinstance(decision, Refusal) and is_disturbed():
                self.counts[f"refusal {decision.reason.name}"] += 1
            return decision

        def observed_fold(job: Any, event: Any) -> Any:
            verdict, after = fold(job, event)
            if is_disturbed():
                self.counts[f"verdict {verdict.value}"] += 1
                if verdict is Verdict.APPLIED:
                    phase = str(job.state.phase if job else None)
                    self.counts[_transition(phase, type(event))] += 1
            return verdict, after

        with substituted({decide: observed_decide, fold: observed_fold}):
            yield


def _transition(phase: str, event: type[KnownEvent]) -> str:
    return f"{phase} -> {event.__name__}"
