"""The page of the jobs that ended: how many, how many failed, and how long they waited and ran."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from operator import add
from typing import NamedTuple

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade.monitor.formatting import format_seconds
from fabric_jobs.facade.monitor.pages import MonitorData, Page
from fabric_jobs.facade.monitor.plots import Plot, make_plot
from fabric_jobs.facade.monitor.sorting import Sorting
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.replica.ended import (
    HOUR_S,
    MINUTE_S,
    OTHER_TYPES,
    Counts,
    EndedType,
    percentile,
)

#: Seconds between two counts of one period. All viewers share one count.
COUNT_INTERVAL_S = 2.0
#: Bound of the share of time in which the jobs of one period are counted.
MAX_COUNT_SHARE = 0.05
#: Types on the page.
MAX_TYPES_SHOWN = 50


class Period(Enum):
    """A period that ends now: its buckets, and their width in seconds."""

    HOUR = ("hour", 60, MINUTE_S)
    DAY = ("day", 24, HOUR_S)
    WEEK = ("week", 7 * 24, HOUR_S)

    def __init__(self, label: str, buckets: int, width_s: int) -> None:
        self.label = label
        self.buckets = buckets
        self.width_s = width_s

    @property
    def minutes(self) -> float:
        """The length of the period."""
        return self.buckets * self.width_s / 60


class EndedCounter:
    """Counts the ended jobs of each period for all viewers, and not too often."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._found: dict[Period, Sequence[EndedType]] = {}
        self._due_at = dict.fromkeys(Period, -math.inf)
        self._counting = asyncio.Lock()

    async def types(self, period: Period) -> Sequence[EndedType]:
        """Returns the counts of each type, by type."""
        async with self._counting:
            begun = time.monotonic()
            if begun >= self._due_at[period]:
                width_s, buckets, now_s = period.width_s, period.buckets, int(time.time())
                first_s = now_s - now_s % width_s - (buckets - 1) * width_s
                self._found[period] = await self._replica.ended(width_s, first_s, buckets)
                now = time.monotonic()
                pause_s = max(COUNT_INTERVAL_S, (now - begun) / MAX_COUNT_SHARE)
                self._due_at[period] = now + pause_s
        return self._found[period]


class EndedRow(NamedTuple):
    """A row of the table: one type, or all of them."""

    kind: JobKind
    counts: Counts
    per_minute: float
    #: Half of the jobs, and 95 of 100 of them, took no longer.
    waited: tuple[str, str]
    ran: tuple[str, str]
    plot: Plot


class EndedView(NamedTuple):
    """The content of the page."""

    period: Period
    total: EndedRow
    rows: Sequence[EndedRow]
    #: How many types there are beyond them.
    more: int
    sorting: Sorting[EndedType]


def _by_p95(histogram: Callable[[Counts], Sequence[int]]) -> Callable[[EndedType], object]:
    return lambda one: percentile(histogram(one.counts), 0.95) or 0


_BY_COLUMN: Mapping[str, Callable[[EndedType], object]] = {
    "type": lambda one: one.kind.job_type,
    "ended": lambda one: one.counts.ended,
    "failed": lambda one: one.counts.failed,
    "rate": lambda one: one.counts.failure_rate or 0,
    "waited": _by_p95(lambda counts: counts.waited),
    "ran": _by_p95(lambda counts: counts.ran),
}
#: The order without a choice: the types with the most failed jobs first.
_DEFAULT_SORT = "-failed"


class EndedPage(Page):
    """The jobs that ended in a period, by type."""

    template = "ended.html"
    section = "ended"

    def __init__(self, data: MonitorData, counter: EndedCounter, period: Period, sort: str) -> None:
        """`sort` names the column to sort by. Raises `UnknownColumnError`."""
        self._data = data
        self._counter = counter
        self.period = period
        self.periods = tuple(Period)
        self._sorting = Sorting(_BY_COLUMN, sort or _DEFAULT_SORT)

    async def load_parts(self) -> Mapping[str, object]:
        """Returns the warnings, the summary and the counts."""
        types = self._sorting.apply(await self._counter.types(self.period))
        shown = types[:MAX_TYPES_SHOWN]
        return {
            "warnings": self._data.warnings(),
            "summary": await self._data.summary(),
            "ended": EndedView(
                self.period,
                _row(self.period, _sum(self.period, types)),
                [_row(self.period, one) for one in shown],
                len(types) - len(shown),
                self._sorting,
            ),
        }


def _sum(period: Period, types: Sequence[EndedType]) -> EndedType:
    """Returns all types in common."""
    counts = Counts(0, 0, 0, (), ())
    series = [(0, 0, 0)] * period.buckets
    for one in types:
        more = one.counts
        counts = Counts(
            counts.completed + more.completed,
            counts.failed + more.failed,
            counts.cancelled + more.cancelled,
            _add(counts.waited, more.waited),
            _add(counts.ran, more.ran),
        )
        series = [
            (a[0] + b[0], a[1] + b[1], a[2] + b[2]) for a, b in zip(series, one.series, strict=True)
        ]
    return EndedType(OTHER_TYPES, counts, series)


def _add(some: Sequence[int], others: Sequence[int]) -> Sequence[int]:
    return tuple(map(add, some, others)) if some else others


def _row(period: Period, one: EndedType) -> EndedRow:
    counts = one.counts
    waited, ran = (
        (format_seconds(percentile(histogram, 0.5)), format_seconds(percentile(histogram, 0.95)))
        for histogram in (counts.waited, counts.ran)
    )
    bucket = "minute" if period.width_s == MINUTE_S else "hour"
    plot = make_plot(one, f"Ended jobs by {bucket} in the last {period.label}")
    return EndedRow(one.kind, counts, counts.ended / period.minutes, waited, ran, plot)
