"""How long a fault interrupted the service. These figures are measured and not promised.

A window is the time from a fault's injection until the cluster is healthy. The unavailability of an
operation in a window is the longest time between two consecutive successes of any client on any
replica. Both ends of the window count as successes.
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


def unavailable_s(
    windows: Sequence[Window], operations: Iterable[Operation]
) -> dict[str, dict[str, float]]:
    """By kind of fault, the longest unavailability in seconds of create, of poll and of both."""
    successes: dict[str, list[float]] = {
        what: sorted(one.end for one in operations if (one.what, one.code) == (what, code))
        for what, code in SUCCESS.items()
    }
    found: defaultdict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(SUCCESS, 0.0))
    for window in windows:
        worst = found[window.fault]
        for what, ends in successes.items():
            worst[what] = max(worst[what], _longest_gap(window, ends))
    return {
        fault: {
            what: round(gap, 2) for what, gap in (worst | {"longest": max(worst.values())}).items()
        }
        for fault, worst in sorted(found.items())
    }


def recovered_s(windows: Sequence[Window]) -> dict[str, float]:
    """By kind of fault, the longest time in seconds from its undoing to a healthy cluster."""
    found: defaultdict[str, float] = defaultdict(float)
    for window in windows:
        found[window.fault] = max(found[window.fault], window.healthy - window.undone)
    return {fault: round(longest, 2) for fault, longest in sorted(found.items())}


def _longest_gap(window: Window, ends: Sequence[float]) -> float:
    inside = ends[bisect_left(ends, window.injected) : bisect_right(ends, window.healthy)]
    moments = [window.injected, *inside, window.healthy]
    return max(after - before for before, after in pairwise(moments))
