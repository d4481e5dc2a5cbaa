"""How long a fault interrupted the service. These figures are measured and not promised.

A window is the time from a fault's injection until the cluster is healthy. An interruption of an
operation is the longest time between two consecutive successes of any client on any replica. Both
ends of the measured time count as successes.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from tests.chaos.history import Operation

SUCCESS = {"create": 202, "poll": 200}


class Window(Struct):
    """One fault: its kind, what happened, and when it was injected, undone, all well again."""

    fault: str
    name: str
    #: Whether replicas may be unable to read the log's end.
    disturbs_log: bool
    injected: float
    undone: float = 0
    healthy: float = 0


def figures_of_kinds(
    windows: Iterable[Window], operations: Sequence[Operation]
) -> dict[str, dict[str, float]]:
    """By kind of fault, how many there were, and the longest times of its windows in seconds.

    `no_create_s` and `no_poll_s` are interruptions of the whole window; `no_create_after_s` and
    `no_poll_after_s` are those after the fault's end. `recovered_s` is the time from the fault's
    end until the cluster was healthy.
    """
    successes = {
        what: sorted(one.end for one in operations if (one.what, one.code) == (what, code))
        for what, code in SUCCESS.items()
    }
    found: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for window in windows:
        figures = {"recovered_s": window.healthy - window.undone}
        for what, ends in successes.items():
            figures[f"no_{what}_s"] = _longest_gap(ends, window.injected, window.healthy)
            figures[f"no_{what}_after_s"] = _longest_gap(ends, window.undone, window.healthy)
        found[window.fault].append(figures)
    return {
        fault: {"times": len(all_figures)}
        | {name: round(max(one[name] for one in all_figures), 2) for name in all_figures[0]}
        for fault, all_figures in sorted(found.items())
    }


def _longest_gap(ends: Sequence[float], start: float, end: float) -> float:
    inside = ends[bisect_left(ends, start) : bisect_right(ends, end)]
    return max(after - before for before, after in pairwise([start, *inside, end]))
