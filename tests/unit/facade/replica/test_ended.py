"""The counts of ended jobs are those of the jobs, also after a restart, a rebuild and a purge."""

import sqlite3
import tempfile
import time
import uuid
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus as Status
from fabric_jobs.contract.jobs import JobPhase
from fabric_jobs.facade.replica import StoredJob
from fabric_jobs.facade.replica import ended as counting
from fabric_jobs.facade.replica.ended import (
    BOUNDS_S,
    DAY_S,
    HOUR_S,
    KEPT_S,
    MAX_TYPES,
    MINUTE_S,
    OTHER_TYPES,
    EndedType,
    percentile,
)
from fabric_jobs.facade.replica.store import Store
from tests.support.store_kit import flush, open_store, put, stored_job

NOW = int(time.time())
KINDS = [JobKind("Item", name) for name in "ab"]


def ended_job(
    number: int,
    status: Status = Status.COMPLETED,
    kind: JobKind = KINDS[0],
    age_s: float = 0,
    waited_s: float = 1,
    ran_s: float | None = 2,
) -> StoredJob:
    """A final job, which ended this many seconds ago."""
    stored = stored_job(number, first_ms=NOW * 1000)
    end = datetime.fromtimestamp(NOW - age_s, UTC)
    start = None if ran_s is None else end - timedelta(seconds=ran_s)
    state = replace(
        stored.job.state,
        item_type=kind.item_type,
        job_type=kind.job_type,
        status=status,
        phase=JobPhase.ENDED,
        create_time=(start or end) - timedelta(seconds=waited_s),
        start_time=start,
        end_time=end,
    )
    job = replace(stored.job, job_id=str(uuid.UUID(int=number)), state=state)
    return replace(stored, job=job)


def read(store: Store, width_s: int = HOUR_S, buckets: int = 7 * 24) -> list[EndedType]:
    """The counts up to now."""
    first_s = NOW - NOW % width_s - (buckets - 1) * width_s
    return list(store.ended(width_s, first_s, buckets).result())


def test_job_counts_in_the_minute_and_in_the_hour_of_its_end(tmp_path: Path) -> None:
    """By its type and status. A job that never started has waited, and has not run."""
    store = open_store(tmp_path / "rows")
    put(
        store,
        ended_job(1, waited_s=0.02, ran_s=40),
        ended_job(2, Status.FAILED, waited_s=5, ran_s=40),
        ended_job(3, Status.CANCELLED, waited_s=7, ran_s=None),
        ended_job(4, kind=KINDS[1], age_s=HOUR_S * 1.5),
        stored_job(5),
    )
    (minutes,) = read(store, MINUTE_S, 60)
    by_hour = read(store)
    store.close()

    assert [one.kind for one in by_hour] == KINDS
    assert minutes.counts == by_hour[0].counts
    counts = minutes.counts
    assert (counts.completed, counts.failed, counts.cancelled) == (1, 1, 1)
    assert (counts.ended, counts.failure_rate) == (3, 0.5)
    assert (sum(counts.waited), sum(counts.ran)) == (3, 2)
    assert minutes.series[-1] == (1, 1, 1)
    assert sum(map(sum, minutes.series)) == 3
    assert sum(map(sum, by_hour[1].series)) == 1


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_counts_are_those_of_the_jobs_however_they_were_batched(data: st.DataObject) -> None:
    """The counts are the same after a restart in between, and after a rebuild."""
    drawn = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from([Status.COMPLETED, Status.FAILED, Status.CANCELLED]),
                st.sampled_from(KINDS),
                st.integers(0, 6 * 24 * HOUR_S),
            ),
            min_size=1,
            max_size=30,
        )
    )
    jobs = [
        ended_job(number, status, kind, age)
        for number, (status, kind, age) in enumerate(drawn, start=1)
    ]
    expected = Counter((kind, status) for status, kind, _ in drawn)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        store = open_store(path)
        for rebuilds in range(2):
            rest = jobs
            while rest:
                size = data.draw(st.integers(1, len(rest)))
                put(store, *rest[:size])
                rest = rest[size:]
                match data.draw(st.sampled_from(["on", "flush", "restart"])):
                    case "flush":
                        flush(store)
                    case "restart":
                        store.close()
                        store = open_store(path)
            found = read(store)
            if not rebuilds:
                store.clear()
        store.close()

    assert {
        (one.kind, status): count
        for one in found
        for status, count in zip(
            (Status.COMPLETED, Status.FAILED, Status.CANCELLED), one.counts[:3], strict=True
        )
        if count
    } == expected


def test_counts_stay_when_their_jobs_are_purged_and_go_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file therefore has a bounded number of buckets."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, ended_job(1), ended_job(2, age_s=KEPT_S[HOUR_S] + HOUR_S))
    put(store, stored_job(3, first_ms=NOW * 1000 + 2), expired_ms=NOW * 1000 + 1)
    flush(store)
    assert store.get(str(uuid.UUID(int=1))) is None
    assert [one.counts.ended for one in read(store)] == [1]

    monkeypatch.setattr(time, "time", lambda: NOW + KEPT_S[HOUR_S] + HOUR_S)
    put(store, ended_job(4, age_s=-KEPT_S[HOUR_S]))
    flush(store)
    assert read(store) == []
    store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM ended").fetchone() == (2,)


def test_end_that_is_days_ahead_is_not_counted(tmp_path: Path) -> None:
    """Its bucket would not become old for as long."""
    path = tmp_path / "rows"
    store = open_store(path)
    put(store, ended_job(1, age_s=-2 * DAY_S), ended_job(2, age_s=-60))
    flush(store)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        starts = [start for (start,) in db.execute("SELECT start_s FROM ended")]

    assert len(starts) == 2
    assert max(starts) < NOW + DAY_S


def test_types_beyond_the_bound_are_counted_in_common(tmp_path: Path) -> None:
    """The types that were counted first keep their own counts."""
    store = open_store(tmp_path / "rows")
    kinds = [JobKind("Item", f"type-{number:03}") for number in range(MAX_TYPES + 3)]
    put(store, *(ended_job(number, kind=kind) for number, kind in enumerate(kinds, start=1)))
    flush(store)
    put(store, *(ended_job(1000 + number, kind=kind) for number, kind in enumerate(kinds)))
    counts = {one.kind: one.counts.completed for one in read(store)}
    store.close()

    assert len(counts) == MAX_TYPES + 1
    assert counts[OTHER_TYPES] == 6
    assert counts[kinds[0]] == 2


@pytest.mark.parametrize("seconds", [0.003, 0.02, 1, 2.5, 59, 3_600, 80_000])
def test_percentile_of_one_duration_is_right_within_a_fifth(seconds: float) -> None:
    """Shorter durations than 10 ms count as 10 ms."""
    pending = counting.PendingCounts()
    pending.count(ended_job(1, waited_s=seconds, ran_s=seconds).job.state)
    (values,) = pending.take().values()
    counts = counting.to_counts(values)

    for histogram in (counts.waited, counts.ran):
        assert percentile(histogram, 0.5) == pytest.approx(max(seconds, 0.01), rel=0.2)
    assert pending.take() == {}


def test_percentiles_are_those_of_the_jobs_in_order() -> None:
    """Half of the jobs, and 95 of 100 of them, took no longer."""
    histogram = [0] * (len(BOUNDS_S) + 1)
    histogram[10], histogram[20], histogram[-1] = 50, 45, 5
    middle = percentile(histogram, 0.5)

    assert middle == pytest.approx((BOUNDS_S[9] * BOUNDS_S[10]) ** 0.5)
    assert percentile(histogram, 0.95) == pytest.approx((BOUNDS_S[19] * BOUNDS_S[20]) ** 0.5)
    assert percentile(histogram, 0.96) == BOUNDS_S[-1]
    assert percentile([0] * len(histogram), 0.5) is None
    assert percentile([], 0.5) is None


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.IN_PROGRESS])
def test_final_job_without_a_final_status_is_not_counted(tmp_path: Path, status: Status) -> None:
    """No facade writes such an event, and one on the topic must stop no replica."""
    store = open_store(tmp_path / "rows")
    put(store, ended_job(1, status), ended_job(2))
    (found,) = read(store)
    store.close()

    assert found.counts.ended == 1
