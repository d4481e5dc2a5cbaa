"""Counts of the jobs that ended: by type and time, with histograms of how long they waited and ran.

A job counts in the bucket of its end, once: when its last event is folded. The counts are written
in the transaction of the fold, so they are those of a prefix of the log, like the jobs. They do not
depend on when a job is purged.
"""

import math
import sqlite3
import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from operator import add
from typing import NamedTuple

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus, JobState

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
#: The widths of the buckets, and for how long buckets of each width are kept, all in seconds.
KEPT_S = {MINUTE_S: 2 * HOUR_S, HOUR_S: 8 * 24 * HOUR_S}
#: Types that are counted apart. All further ones are counted as `OTHER_TYPES`.
MAX_TYPES = 200
OTHER_TYPES = JobKind("", "")
#: The upper bounds of the histograms' bins in seconds, each the square root of 2 times the one
#: before, from 10 ms to two days. The last bin has none.
BOUNDS_S = tuple(0.01 * 2 ** (step / 2) for step in range(49))

_STATUSES = (
    JobInstanceStatus.COMPLETED,
    JobInstanceStatus.FAILED,
    JobInstanceStatus.CANCELLED,
)
#: What stands for the durations of each bin.
_MIDDLES_S = (
    BOUNDS_S[0],
    *(math.sqrt(low * high) for low, high in pairwise(BOUNDS_S)),
    BOUNDS_S[-1],
)
_BINS = len(BOUNDS_S) + 1
#: The places of the counts in a row: the statuses, then the two histograms.
_WAITED = len(_STATUSES)
_RAN = _WAITED + _BINS
_SIZE = _RAN + _BINS
_PLACES = {status.value: place for place, status in enumerate(_STATUSES)}
#: A job's type and the minute in which it ended, in seconds since 1970.
EndedKey = tuple[str, str, int]

SCHEMA = """
CREATE TABLE ended_types (
  type_id INTEGER PRIMARY KEY,
  item_type TEXT NOT NULL,
  job_type TEXT NOT NULL,
  UNIQUE (item_type, job_type)
);
CREATE TABLE ended (
  width_s INTEGER,
  start_s INTEGER,
  type_id INTEGER,
  counts BLOB NOT NULL,
  PRIMARY KEY (width_s, start_s, type_id)
) WITHOUT ROWID;
"""


class Counts(NamedTuple):
    """Jobs that ended, by status, and how many of them waited and ran for how long."""

    completed: int
    failed: int
    cancelled: int
    waited: Sequence[int]
    ran: Sequence[int]

    @property
    def ended(self) -> int:
        """All jobs that ended."""
        return self.completed + self.failed + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The part of the jobs that failed, of those that were not cancelled; None without any."""
        counted = self.completed + self.failed
        return self.failed / counted if counted else None


class EndedType(NamedTuple):
    """The counts of one type in a period."""

    kind: JobKind
    counts: Counts
    #: For each bucket of the period, the jobs by status: completed, failed, cancelled.
    series: Sequence[tuple[int, int, int]]


class PendingCounts:
    """The counts of folded jobs that are not written yet."""

    def __init__(self) -> None:
        self._counts: dict[EndedKey, list[int]] = {}

    def count(self, state: JobState) -> None:
        """Counts a job that has just become final."""
        end, place = state.end_time, _PLACES.get(state.status)
        # No facade writes such an end, and one that is on the topic stops no replica.
        if end is None or place is None:
            return
        end_s = int(end.timestamp())
        key = (state.item_type, state.job_type, end_s - end_s % MINUTE_S)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0] * _SIZE
        counts[place] += 1
        # A job that never started has waited until its end.
        start = state.start_time
        counts[_WAITED + _bin((start or end) - state.create_time)] += 1
        if start:
            counts[_RAN + _bin(end - start)] += 1

    def take(self) -> Mapping[EndedKey, list[int]]:
        """Returns the counts, for one batch; none is pending afterwards."""
        taken, self._counts = self._counts, {}
        return taken


def write_counts(db: sqlite3.Connection, pending: Mapping[EndedKey, list[int]]) -> None:
    """Adds the counts to their buckets, and deletes the buckets that are too old."""
    if not pending:
        return
    now_s = time.time()
    _drop_old_buckets(db, now_s)
    buckets: dict[tuple[int, int, int], list[int]] = {}
    type_ids: dict[tuple[str, str], int] = {}
    for (item_type, job_type, minute_s), counts in pending.items():
        for width_s, kept_s in KEPT_S.items():
            start_s = minute_s - minute_s % width_s
            # A bucket far in the future would be kept until its time has come and gone.
            if not now_s - kept_s <= start_s < now_s + DAY_S:
                continue
            kind = item_type, job_type
            if kind not in type_ids:
                type_ids[kind] = _type_id(db, *kind)
            place = width_s, start_s, type_ids[kind]
            before = buckets.get(place)
            buckets[place] = _sum(before, counts) if before else counts
    for place, counts in buckets.items():
        found = db.execute(
            "SELECT counts FROM ended WHERE width_s = ? AND start_s = ? AND type_id = ?", place
        ).fetchone()
        total = _sum(_unpack(found[0]), counts) if found else counts
        db.execute(
            "INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)",
            (*place, array("I", total).tobytes()),
        )


def read_counts(
    db: sqlite3.Connection, width_s: int, first_s: int, buckets: int
) -> Sequence[EndedType]:
    """The counts of each type in consecutive buckets, of which the first starts at `first_s`."""
    totals: dict[JobKind, Sequence[int]] = {}
    series: dict[JobKind, list[tuple[int, int, int]]] = {}
    for item_type, job_type, start_s, blob in db.execute(
        "SELECT item_type, job_type, start_s, counts FROM ended JOIN ended_types USING (type_id) "
        "WHERE width_s = ? AND start_s >= ? AND start_s < ?",
        (width_s, first_s, first_s + buckets * width_s),
    ):
        kind, counts = JobKind(item_type, job_type), _unpack(blob)
        before = totals.get(kind)
        totals[kind] = _sum(before, counts) if before else counts
        completed, failed, cancelled = counts[:_WAITED]
        series.setdefault(kind, [(0, 0, 0)] * buckets)[(start_s - first_s) // width_s] = (
            completed,
            failed,
            cancelled,
        )
    return [
        EndedType(kind, to_counts(total), series[kind]) for kind, total in sorted(totals.items())
    ]


def to_counts(values: Sequence[int]) -> Counts:
    """Returns the counts of a row, which has them in one sequence."""
    completed, failed, cancelled = values[:_WAITED]
    waited, ran = tuple(values[_WAITED:_RAN]), tuple(values[_RAN:])
    return Counts(completed, failed, cancelled, waited, ran)


def percentile(histogram: Sequence[int], part: float) -> float | None:
    """Returns the seconds that this part of the jobs took at most; None for an empty histogram.

    It is the middle of the bin, so it is wrong by 19 % at most, between 10 ms and two days.
    """
    if not any(histogram):
        return None
    wanted = sum(histogram) * part
    return next(
        middle
        for seen, middle in zip(accumulate(histogram), _MIDDLES_S, strict=True)
        if seen >= max(wanted, 1)
    )


def _drop_old_buckets(db: sqlite3.Connection, now_s: float) -> None:
    dropped = 0
    for width_s, kept_s in KEPT_S.items():
        values = (width_s, now_s - kept_s)
        dropped = db.execute("DELETE FROM ended WHERE width_s = ? AND start_s < ?", values).rowcount
    # Reads every bucket, so it is done only when a bucket of an hour was dropped.
    if dropped:
        db.execute("DELETE FROM ended_types WHERE type_id NOT IN (SELECT type_id FROM ended)")


def _bin(duration: timedelta) -> int:
    return bisect_left(BOUNDS_S, duration.total_seconds())


def _sum(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [*map(add, one, other)]


def _unpack(blob: bytes) -> Sequence[int]:
    counts = array("I")
    counts.frombytes(blob)
    return counts


def _type_id(db: sqlite3.Connection, item_type: str, job_type: str) -> int:
    """The number of a type, which gets one unless `MAX_TYPES` types have one."""
    find = "SELECT type_id FROM ended_types WHERE item_type = ? AND job_type = ?"
    if found := db.execute(find, (item_type, job_type)).fetchone():
        return int(found[0])
    (known,) = db.execute("SELECT count(*) FROM ended_types").fetchone()
    if known >= MAX_TYPES and JobKind(item_type, job_type) != OTHER_TYPES:
        return _type_id(db, OTHER_TYPES.item_type, OTHER_TYPES.job_type)
    insert = "INSERT INTO ended_types (item_type, job_type) VALUES (?, ?)"
    type_id = db.execute(insert, (item_type, job_type)).lastrowid
    assert type_id is not None
    return type_id
