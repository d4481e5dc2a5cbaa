"""The figures of each kind of fault as a table, as plain text or as Markdown.

`python -m tests.chaos.table report.json` prints the Markdown for README.md.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

#: The heads of the columns with the longest times, in seconds, and their names in a report.
COLUMNS = {
    "no create": "no_create_s",
    "no poll": "no_poll_s",
    "recovered": "recovered_s",
}


def plain(figures: Mapping[str, Any]) -> list[str]:
    """The lines of a table with a row for each kind of fault."""
    heads = "".join(f"{head:>11}" for head in COLUMNS)
    return [
        f"{'fault':<24} {'times':>5}{heads}   (longest, s)",
        *(
            f"{fault:<24} {of_fault['times']:>5}"
            + "".join(f"{of_fault[name]:>11.1f}" for name in COLUMNS.values())
            + f"   {_goal(of_fault)}".rstrip()
            for fault, of_fault in figures["faults"].items()
        ),
    ]


def markdown(figures: Mapping[str, Any]) -> str:
    """A sentence about the run, and a table with a row for each kind of fault."""
    times = sum(of_fault["times"] for of_fault in figures["faults"].values())
    heads = " | ".join(f"{head}, s" for head in COLUMNS)
    return "\n".join(
        [
            f"Seed {figures['seed']}, {figures['seconds']:.0f} s: {figures['accepted']} jobs and "
            f"{times} faults; the verdict is `{figures['verdict']}`.",
            "",
            f"| fault | times | {heads} | goal |",
            "|---|--:|" + "--:|" * len(COLUMNS) + "---|",
            *(
                f"| `{fault}` | {of_fault['times']} | "
                + "".join(f"{of_fault[name]:.1f} | " for name in COLUMNS.values())
                + f"{_goal(of_fault)} |"
                for fault, of_fault in figures["faults"].items()
            ),
        ]
    )


def _goal(of_fault: Mapping[str, Any]) -> str:
    goal = of_fault.get("goal")
    if not goal:
        return ""
    return f"{goal['text']}: {'met' if goal['met'] else 'missed'} ({goal['worst']:g})"


if __name__ == "__main__":
    print(markdown(msgspec.json.decode(Path(sys.argv[1]).read_bytes())))
