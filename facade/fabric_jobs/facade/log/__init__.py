"""The log: append, tail, positions and the end-of-log barrier over one Kafka topic.

It knows Kafka and nothing of jobs. What makes it safe is forced here and is no setting: acks=all,
an idempotent producer, its own partition assignment, no group and no automatic commit.
"""

from fabric_jobs.facade.log.clients import administering
from fabric_jobs.facade.log.errors import (
    LogError,
    LogForgottenError,
    LogUnavailableError,
    TopicError,
)
from fabric_jobs.facade.log.log import Log
from fabric_jobs.facade.log.tail import Checkpoint, Reader, Record
from fabric_jobs.facade.log.topic import TopicSpec
from fabric_jobs.facade.log.trial import Replication, recorded_time, replication

__all__ = [
    "Checkpoint",
    "Log",
    "LogError",
    "LogForgottenError",
    "LogUnavailableError",
    "Reader",
    "Record",
    "Replication",
    "TopicError",
    "TopicSpec",
    "administering",
    "recorded_time",
    "replication",
]
