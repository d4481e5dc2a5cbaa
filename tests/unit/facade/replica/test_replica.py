"""How long a job is known, by the broker's time."""

from collections import Counter
from datetime import timedelta

import pytest

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.facade.lifecycle import MAX_LIFE
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import KEPT, Filter, Identity, Replica, Store
from tests.support.lifecycle import JOB, decided, driven, request, stamp, unknown_event

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
HERE, THERE = 0, 1
MS = timedelta(milliseconds=1)


@pytest.fixture
def replica() -> Replica:
    """A replica of an empty log of two partitions."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=2))
    return Replica(store)


def requested(job_id: str, event_id: str) -> KnownEvent:
    """A job's first event."""
    return decided(None, request(job_id), stamp(event_id))


def read(
    replica: Replica, event: events.Event, at: timedelta, partition: int = HERE, offset: int = 0
) -> None:
    """The event is read; the broker wrote it at that time."""
    record = Record(partition, offset, at // MS, events.encode(event))
    replica.apply([record], {partition: offset + 1})


async def test_a_job_is_known_for_eight_days_by_its_partition_s_time(replica: Replica) -> None:
    """Whatever another partition says; then it is unknown for reads, lists and decisions."""
    read(replica, requested(JOB, "one"), timedelta(0))
    read(replica, requested(OTHER, "two"), KEPT + timedelta(days=1), THERE)
    assert replica.get(JOB)
    read(replica, unknown_event(driven([request()]), "three"), KEPT - MS, offset=1)
    assert replica.get(JOB)
    read(replica, requested(OTHER, "four"), KEPT, offset=2)

    assert replica.get(JOB) is None
    assert [entry.job.job_id for entry in await replica.list(Filter(), 10)] == [OTHER]


def test_an_old_job_is_unknown_also_to_the_event_that_comes_with_its_end(replica: Replica) -> None:
    """So that replicas that read it in one batch, and in two, fold alike."""
    records = [
        Record(HERE, 0, 0, events.encode(requested(JOB, "one"))),
        Record(HERE, 1, KEPT // MS, events.encode(requested(JOB, "again"))),
    ]
    replica.apply(records, {HERE: 2})

    entry = replica.get(JOB)
    assert entry
    assert (entry.job.event_id, entry.first_ms) == ("again", KEPT // MS)


def test_the_rest_of_a_job_whose_beginning_has_gone_is_no_fork(replica: Replica) -> None:
    """At the start of a topic that has dropped records, for as long as a job lives."""
    rest = unknown_event(driven([request()]), "rest")
    read(replica, rest, timedelta(days=100), offset=5)
    read(replica, rest, timedelta(days=100) + MAX_LIFE, offset=6)
    assert replica.counts == Counter(remnant=2)
    read(replica, rest, timedelta(days=100) + MAX_LIFE + MS, offset=7)

    assert replica.counts["forked"] == 1


def test_an_event_without_its_beginning_on_a_whole_topic_is_a_fork(replica: Replica) -> None:
    """Nothing was dropped, so something is wrong."""
    read(replica, unknown_event(driven([request()]), "rest"), timedelta(days=100))

    assert replica.counts == Counter(forked=1)
