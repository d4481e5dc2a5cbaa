"""Draws counts as the paths of a bar chart in SVG."""

from collections.abc import Sequence
from typing import NamedTuple

from fabric_jobs.facade.replica.ended import EndedType

#: The height of a plot, and the width of a bar with the gap after it, in the plot's own units.
HEIGHT, STEP = 40, 4


class Plot(NamedTuple):
    """The paths of a bar chart with a bar for each bucket, and what it shows, in words."""

    width: int
    height: int
    #: By status, from the bottom of the bars to their top: the name of its style, and the path.
    paths: Sequence[tuple[str, str]]
    description: str


def make_plot(one: EndedType, title: str) -> Plot:
    """Returns the plot of a type's series. The description begins with the title."""
    highest = max(map(sum, one.series), default=0)
    scale = HEIGHT / highest if highest else 0
    paths = {"failed": "", "completed": "", "cancelled": ""}
    for place, (completed, failed, cancelled) in enumerate(one.series):
        bottom = float(HEIGHT)
        by_status = {"failed": failed, "completed": completed, "cancelled": cancelled}
        for status, count in by_status.items():
            if height := count * scale:
                box = f"v{-height:.1f}h{STEP - 1}v{height:.1f}z"
                paths[status] += f"M{place * STEP} {bottom:.1f}{box}"
                bottom -= height
    counts = one.counts
    description = (
        f"{title}, {highest:,} at most: {counts.completed:,} completed, {counts.failed:,} failed, "
        f"{counts.cancelled:,} cancelled."
    )
    width = len(one.series) * STEP
    return Plot(width, HEIGHT, [pair for pair in paths.items() if pair[1]], description)
