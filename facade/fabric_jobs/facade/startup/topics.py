"""What the facade requires of its topics."""

from datetime import timedelta
from math import ceil

from fabric_jobs.contract.checkpoints import MAX_CHECKPOINT_BYTES
from fabric_jobs.contract.grants import MAX_SEALED_CONSENT_CHARS
from fabric_jobs.facade.log import TopicSpec
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import variable

_MS = timedelta(milliseconds=1)
#: A topic that the facade creates keeps its records for longer than it must.
SPARE_RETENTION = timedelta(days=1)
#: A heartbeat is of no use after one lease, and a lease is at most an hour.
HEARTBEATS_RETENTION_MS = 60 * 60 * 1000
MAX_HEARTBEAT_BYTES = 512 * 1024
#: A grant is of no use after its job has ended. A broker deletes whole segments, so it keeps some
#: grants for up to two hours longer.
GRANTS_SPARE = timedelta(hours=1)
#: How long a broker may keep a grant that was replaced or deleted.
GRANTS_ERASURE_MS = 60 * 60 * 1000
MAX_GRANT_BYTES = MAX_SEALED_CONSENT_CHARS + 4096
#: The largest control: the names of a job type, the reason and the operator.
MAX_CONTROL_BYTES = 64 * 1024
#: The largest event without payload and definition: the state, two errors of maximal size, the
#: progress, the checkpoint.
MAX_EVENT_REST_BYTES = 64 * 1024 + MAX_CHECKPOINT_BYTES
#: How much larger a sealed event may be: base64 makes each text a third larger, and each has a
#: prefix.
SEALED_RATIO = 4 / 3
SEALED_EXTRA_BYTES = 4 * 1024


def events(settings: FacadeSettings) -> TopicSpec:
    """The topic of the job events."""
    retention = settings.lifetime.min_record_retention
    size = settings.body_limit_bytes + settings.definition_limit_bytes + MAX_EVENT_REST_BYTES
    if settings.sealing_keys:
        size = ceil(size * SEALED_RATIO) + SEALED_EXTRA_BYTES
    return TopicSpec(
        name=settings.events_topic,
        partitions=settings.events_partitions,
        exact_partitions=True,
        partitions_setting=variable("events_partitions"),
        min_retention_ms=retention // _MS,
        retention_ms=(retention + SPARE_RETENTION) // _MS,
        min_retention_reason=(
            f"{variable('longest_life_s')}={settings.longest_life_s} needs them for "
            f"{retention / timedelta(days=1):g} days"
        ),
        max_record_bytes=size,
        create=settings.create_topics,
    )


def heartbeats(settings: FacadeSettings) -> TopicSpec:
    """The topic of the heartbeats of executors and facades."""
    return TopicSpec(
        name=settings.heartbeats_topic,
        partitions=1,
        exact_partitions=False,
        min_retention_ms=int(settings.lease_s * 1000),
        retention_ms=HEARTBEATS_RETENTION_MS,
        min_retention_reason=f"{variable('lease_s')}={settings.lease_s:g} needs them",
        max_record_bytes=MAX_HEARTBEAT_BYTES,
        create=settings.create_topics,
        max_age_ms=HEARTBEATS_RETENTION_MS,
    )


def controls(settings: FacadeSettings) -> TopicSpec:
    """The topic of the operators' controls."""
    return TopicSpec(
        name=settings.controls_topic,
        partitions=1,
        exact_partitions=True,
        min_retention_ms=None,
        retention_ms=None,
        min_retention_reason="",
        max_record_bytes=MAX_CONTROL_BYTES,
        create=settings.create_topics,
    )


def grants(settings: FacadeSettings) -> TopicSpec:
    """The topic of the users' grants."""
    retention_ms = (settings.lifetime.longest + GRANTS_SPARE) // _MS
    return TopicSpec(
        name=settings.grants_topic,
        partitions=1,
        exact_partitions=True,
        min_retention_ms=retention_ms,
        retention_ms=retention_ms,
        min_retention_reason=f"{variable('longest_life_s')}={settings.longest_life_s} needs them",
        erasure_ms=GRANTS_ERASURE_MS,
        max_record_bytes=MAX_GRANT_BYTES,
        create=settings.create_topics,
    )
