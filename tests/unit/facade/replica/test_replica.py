"""How long a replica knows a job, by the times of the broker and of the facades."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.contract.failures import MAX_LONGEST_LIFE
from fabric_jobs.facade.lifecycle import JobLifetime
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Filter, Identity, Replica, Store
from fabric_jobs.runtime.telemetry.summaries import BURST
from tests.support.lifecycle import JOB, at, decide_event, drive, request, stamp, unknown_event
from tests.support.records import record_of

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
FAR = "2f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
MINE = "3f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
#: The partitions, of two, of `JOB`, `OTHER` and `MINE`, and of `FAR`.
HERE, THERE = 0, 1
MS = timedelta(milliseconds=1)
DAY = timedelta(days=1)
RETENTION = JobLifetime().retention
#: The create time of the jobs here, as the time of a record.
CREATED = at(1) - datetime.fromtimestamp(0, UTC)


@pytest.fixture
def replica() -> Replica:
    """A replica of an empty log of two partitions."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=2))
    return Replica(store, 2)


def requested(job_id: str, event_id: str) -> KnownEvent:
    """A job's first event."""
    return decide_event(None, request(job_id), stamp(event_id))


def read(
    replica: Replica, event: events.Event, at: timedelta, partition: int = HERE, offset: int = 0
) -> None:
    """The replica reads the event, which was decided and written at this time since 1970."""
    replica.apply([record_at(event, at, partition, offset)], {partition: offset + 1})


def record_at(event: events.Event, at: timedelta, partition: int = HERE, offset: int = 0) -> Record:
    """The record of the event, which was decided and written at this time since 1970."""
    timed = replace(event, time=datetime.fromtimestamp(0, UTC) + at)
    return record_of(timed, offset, partition=partition, time_ms=at // MS)


async def test_replica_drops_a_job_after_its_retention_by_its_partitions_time(
    replica: Replica,
) -> None:
    """Another partition's time does not count. Reads, lists and decisions then find no job."""
    read(replica, requested(JOB, "one"), CREATED)
    read(replica, requested(FAR, "two"), CREATED + RETENTION + timedelta(days=1), THERE)
    assert replica.get(JOB)
    read(replica, unknown_event(drive([request()]), "three"), CREATED + RETENTION - MS, offset=1)
    assert replica.get(JOB)
    read(replica, requested(OTHER, "four"), CREATED + RETENTION, offset=2)

    assert replica.get(JOB) is None
    assert [stored.job.job_id for stored in await replica.list(Filter(), 10)] == [FAR, OTHER]


def test_event_in_the_batch_that_expires_its_job_finds_no_job(replica: Replica) -> None:
    """Replicas that read the same records in one batch, or in two, fold them alike."""
    records = [
        record_at(requested(JOB, "one"), CREATED),
        record_at(requested(JOB, "again"), CREATED + RETENTION, offset=1),
    ]
    replica.apply(records, {HERE: 2})

    stored = replica.get(JOB)
    assert stored
    assert (stored.job.event_id, stored.first_ms) == ("again", (CREATED + RETENTION) // MS)


@pytest.mark.parametrize(("broker", "facade"), [(1, 0), (0, 1)], ids=["of a broker", "of a facade"])
def test_wrong_clock_makes_the_replica_forget_no_job(
    replica: Replica, broker: int, facade: int
) -> None:
    """A clock far ahead makes no other job old. A clock far behind does not make its job old."""
    for offset, ahead in enumerate([timedelta(0), 2 * RETENTION, -1.9 * RETENTION]):
        job_id = (JOB, OTHER, MINE)[offset]
        event = replace(requested(job_id, job_id), time=at(1) + facade * ahead)
        time_ms = (CREATED + broker * ahead) // MS
        replica.apply([record_of(event, offset, partition=HERE, time_ms=time_ms)], {HERE: 1})

    assert all(map(replica.get, (JOB, OTHER, MINE)))


@pytest.mark.parametrize("ahead", [timedelta(days=5), timedelta(days=50)], ids=str)
def test_replica_forgets_a_job_before_the_topic_may_delete_its_first_record(
    replica: Replica, ahead: timedelta
) -> None:
    """The topic keeps the record by the broker's time, however far ahead the facade's clock is."""
    event = replace(requested(JOB, "one"), time=at(1) + ahead)
    replica.apply([record_of(event, partition=HERE, time_ms=CREATED // MS)], {HERE: 1})
    stored = replica.get(JOB)
    assert stored
    known_until = timedelta(milliseconds=stored.first_ms) + RETENTION

    kept_until = CREATED + JobLifetime().min_record_retention
    assert CREATED + RETENTION < known_until <= kept_until
    read(replica, requested(OTHER, "two"), kept_until, offset=1)
    assert replica.get(JOB) is None


def test_event_of_a_job_from_before_a_truncated_start_is_a_remnant(replica: Replica) -> None:
    """The topic has dropped the job's first events, however long the job lived; it is no fork."""
    rest = unknown_event(drive([request()]), "rest")
    start = CREATED + timedelta(hours=1)
    read(replica, rest, start, offset=5)
    read(replica, rest, start + MAX_LONGEST_LIFE, offset=6)

    assert replica.counts == Counter(remnant=2)


def test_event_of_a_job_from_after_a_truncated_start_is_a_fork(replica: Replica) -> None:
    """The topic must still have the job's first event. The clocks may differ by a minute."""
    rest = unknown_event(drive([request()]), "rest")
    read(replica, rest, CREATED - timedelta(minutes=1), offset=5)
    assert replica.counts == Counter(remnant=1)
    replica.reset()
    read(replica, rest, CREATED - timedelta(minutes=1) - MS, offset=5)

    assert replica.counts["forked"] == 1


def test_longer_life_makes_the_replica_know_its_jobs_for_longer() -> None:
    """A replica with a life of 24 days knows a job for 31 days, and lists its late deadline."""
    lifetime = JobLifetime(MAX_LONGEST_LIFE)
    store = Store(None, lifetime)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=2))
    replica = Replica(store, 2)
    longest = CREATED + timedelta(days=31)
    read(replica, requested(JOB, "one"), CREATED)
    read(replica, requested(OTHER, "two"), longest - MS, offset=1)
    assert replica.get(JOB)
    read(replica, unknown_event(drive([request()]), "three"), longest, offset=2)

    assert replica.get(JOB) is None
    assert lifetime.min_record_retention == timedelta(days=62)


def test_event_without_its_first_events_on_a_whole_topic_is_a_fork(replica: Replica) -> None:
    """The topic has dropped no record, so the log is broken."""
    read(replica, unknown_event(drive([request()]), "rest"), CREATED + timedelta(days=100))

    assert replica.counts == Counter(forked=1)


def test_replica_asks_to_read_the_log_again_at_a_fork_only(replica: Replica) -> None:
    """The loser of a race and the rest of an old job are in every healthy log."""
    forks = list[str]()
    replica.on_fork = lambda: forks.append("fork")
    read(replica, unknown_event(drive([request()]), "rest"), CREATED + DAY, offset=5)
    read(replica, requested(JOB, "one"), CREATED + DAY, offset=6)
    read(replica, requested(JOB, "loser"), CREATED + DAY, offset=7)
    assert (replica.counts, forks) == (Counter(applied=1, remnant=1, lost=1), [])
    read(replica, unknown_event(drive([request()]), "two"), CREATED + DAY, offset=8)

    assert (replica.counts["forked"], forks) == (1, ["fork"])


def test_replica_that_is_reset_forgets_the_times_of_the_log(replica: Replica) -> None:
    """The clocks may have been ahead while the log was written that another one replaces."""
    read(replica, requested(OTHER, "one"), CREATED + 2 * RETENTION)
    replica.reset()
    read(replica, requested(JOB, "two"), CREATED)

    assert replica.get(JOB)


WITH_GUIDS = {name: f'"{name}":"' for name in ("tenantId", "workspaceId", "itemId", "subject")}
POISON = {
    **{f"no GUID: {name}": (old.encode(), old.encode() + b"x") for name, old in WITH_GUIDS.items()},
    "a GUID in capitals": (JOB.encode(), JOB.upper().encode()),
    "a create time in the year 9999": (b'"createTime":"2026-', b'"createTime":"9999-'),
    "an attempt above 63 bits": (b'"attempt":1', b'"attempt":9223372036854775808'),
    "a deep payload": (b"[1,2,3]", b"[" * 970 + b"]" * 970),
}


@pytest.mark.parametrize(("old", "new"), POISON.values(), ids=POISON)
async def test_record_out_of_bounds_is_poison_and_stops_no_replica(
    replica: Replica, old: bytes, new: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The records around it are folded, stored and listed."""
    value = events.encode(requested(JOB, "one"))
    assert old in value
    replica.apply([Record(HERE, 7, 0, value.replace(old, new), JOB.encode())], {HERE: 8})
    read(replica, requested(OTHER, "two"), CREATED, offset=8)

    assert (replica.poison.count, replica.counts) == (1, Counter(applied=1))
    assert "partition 0 offset 7" in caplog.text
    assert [stored.job.job_id for stored in await replica.list(Filter(), 10)] == [OTHER]


async def test_record_under_another_key_or_in_another_partition_is_poison(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """Every replica skips it alike, because the key and the partition are the record's own."""
    event = requested(JOB, "one")
    misplaced = [
        replace(record_of(event, 0, partition=HERE), key=OTHER.encode()),
        replace(record_of(event, 1, partition=HERE), key=None),
        record_of(event, 2, partition=THERE),
    ]
    for record in misplaced:
        replica.apply([record], {record.partition: record.offset + 1})
    read(replica, event, CREATED, offset=3)

    assert (replica.poison.count, replica.counts) == (3, Counter(applied=1))
    assert "partition 0 offset 1: The record's key is not the event's subject." in caplog.text
    assert "partition 1 offset 2: its key belongs to partition 0" in caplog.text
    stored = replica.get(JOB)
    assert stored
    assert (stored.partition, stored.offset) == (HERE, 3)


def test_much_poison_is_counted_and_makes_a_few_lines(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """The first lines name where the records are; the metric has their number."""
    replica.apply([Record(HERE, offset, 0, b"junk") for offset in range(1000)], {HERE: 1000})

    assert replica.poison.count == 1000
    assert len(caplog.messages) == BURST
