"""The outcome of a run: figures as JSON, a summary for people, and files as proof of a breach."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fabric_jobs.facade.log import Record
from tests.chaos import table
from tests.chaos.answers import stale
from tests.chaos.availability import Window, figures_of_kinds
from tests.chaos.evidence import Evidence
from tests.chaos.failpoints import GOALS
from tests.chaos.history import UNKNOWN
from tests.chaos.topic import write_topic

#: The maximum number of breaches of a kind that a report quotes.
MAX_QUOTED = 20


class Report:
    """The outcome of a completed run."""

    def __init__(
        self,
        seed: int,
        seconds: float,
        evidence: Evidence,
        windows: Sequence[Window],
        breaches: dict[str, list[str]],
    ) -> None:
        self._seed = seed
        self._seconds = seconds
        self._evidence = evidence
        self._windows = windows
        self._breaches = breaches

    @property
    def held(self) -> bool:
        """Whether the run has no breach."""
        return not any(self._breaches.values())

    def figures(self) -> dict[str, Any]:
        """The report's values for JSON, with a count for each kind of breach."""
        model, history = self._evidence.model, self._evidence.history
        jobs = [job for job in model.jobs.values() if job.applied]
        answered = Counter(f"{one.what} {one.code or 'unanswered'}" for one in history.operations)
        return {
            "seed": self._seed,
            "seconds": self._seconds,
            "verdict": "held" if self.held else "broken",
            "jobs": len(history.kinds),
            "accepted": len(history.accepted),
            **{name: len(found) for name, found in self._breaches.items()},
            "faults": self._faults(),
            "ends": dict(Counter(job.applied[-1].status for job in jobs)),
            "events": model.events,
            "lost_races": sum(job.lost for job in jobs),
            "runs": len(self._evidence.runs),
            "superseded_runs": sum(
                attempt < self._evidence.model.jobs[job].applied[-1].attempt
                for job, attempt in self._evidence.runs
                if job in model.jobs and model.jobs[job].applied
            ),
            "operations": dict(sorted(answered.items())),
            "unknown_outcomes": sum(one.end == UNKNOWN for one in history.operations),
            "stale_answers": stale(self._evidence),
            "breaches": {
                name: found[:MAX_QUOTED] for name, found in self._breaches.items() if found
            },
        }

    def _faults(self) -> dict[str, dict[str, Any]]:
        """The figures of each kind of fault, and what became of its goal."""
        found: dict[str, dict[str, Any]] = {}
        breaches = {name: len(of_name) for name, of_name in self._breaches.items()}
        for fault, figures in figures_of_kinds(
            self._windows, self._evidence.history.operations
        ).items():
            found[fault] = dict(figures)
            if goal := GOALS.get(fault):
                worst = goal.worst(figures | breaches)
                found[fault]["goal"] = {
                    "text": goal.text,
                    "at_most": goal.at_most,
                    "worst": worst,
                    "met": worst <= goal.at_most,
                }
        return found

    def keep(self, folder: Path, records: Sequence[Record]) -> None:
        """Write history, faults and topic beside the logs and journals.

        The brokers' data is deleted, because it is large and holds no more than the topic.
        """
        encoder = msgspec.json.Encoder()
        history = self._evidence.history.operations
        (folder / "history.jsonl").write_bytes(encoder.encode_lines(history))
        (folder / "faults.jsonl").write_bytes(encoder.encode_lines(self._windows))
        (folder / "breaches.json").write_bytes(encoder.encode(self._breaches))
        write_topic(folder / "topic.txt", records)
        for data in (folder / "kafka").glob("broker-?"):
            shutil.rmtree(data)


def summary(figures: dict[str, Any]) -> str:
    """The figures as text, with the verdict as the last line."""
    times = sum(of_fault["times"] for of_fault in figures["faults"].values())
    lines = [
        *table.plain(figures),
        f"{figures['accepted']} jobs accepted: {figures['ends']}; {figures['events']} events, "
        f"{figures['lost_races']} of them lost races; {figures['runs']} runs, "
        f"{figures['superseded_runs']} of them superseded",
        f"operations: {figures['operations']}; {figures['stale_answers']} stale answers",
    ]
    for name, found in figures["breaches"].items():
        lines += [f"{name}: {figures[name]}", *(f"  {one[:300]}" for one in found[:3])]
    lines.append(
        f"seed {figures['seed']}, {times} faults: "
        f"lost {figures['lost']}, doubly final {figures['doubly_final']}, "
        f"double grants {figures['double_grants']}, never final {figures['never_final']}, "
        f"replica differences {figures['replica_differences']}"
    )
    lines.append("HELD" if figures["verdict"] == "held" else "BROKEN")
    return "\n".join(lines)
