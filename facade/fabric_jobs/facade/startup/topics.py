"""What the two topics of a replica must be."""

from datetime import timedelta

from fabric_jobs.facade.log import TopicSpec
from fabric_jobs.facade.replica import JOB_RETENTION
from fabric_jobs.facade.settings import FacadeSettings

#: Records are kept twice as long as the jobs in them are known, so that what a job's id once meant
#: is forgotten by everybody before its first record goes; and a day more, where a topic is made.
MIN_RETENTION_MS = 2 * JOB_RETENTION // timedelta(milliseconds=1)
RETENTION_MS = MIN_RETENTION_MS + timedelta(days=1) // timedelta(milliseconds=1)
#: Heartbeats are worth nothing after a lease, which is an hour at most.
HEARTBEATS_RETENTION_MS = 60 * 60 * 1000
HEARTBEAT_BYTES = 512 * 1024
#: What the largest event holds beside its payload: state, two errors at their bounds, progress.
EVENT_REST_BYTES = 64 * 1024


def events(settings: FacadeSettings) -> TopicSpec:
    """The log of the jobs."""
    return TopicSpec(
        name=settings.events_topic,
        partitions=settings.events_partitions,
        exact_partitions=True,
        min_retention_ms=MIN_RETENTION_MS,
        retention_ms=RETENTION_MS,
        max_record_bytes=settings.body_limit_bytes + EVENT_REST_BYTES,
        create=settings.create_topics,
    )


def heartbeats(settings: FacadeSettings) -> TopicSpec:
    """Who is there."""
    return TopicSpec(
        name=settings.heartbeats_topic,
        partitions=1,
        exact_partitions=False,
        min_retention_ms=int(settings.lease_s * 1000),
        retention_ms=HEARTBEATS_RETENTION_MS,
        max_record_bytes=HEARTBEAT_BYTES,
        create=settings.create_topics,
    )
