"""The log: append, tail, positions and the end-of-log barrier over one Kafka topic.

It knows Kafka and nothing of jobs. The options that make it safe are fixed in this code and are no
settings: acks=all, an idempotent producer, manual partition assignment, no consumer group and no
automatic commit.
"""

from fabric_jobs.facade.log.clients import open_admin_client
from fabric_jobs.facade.log.codes import CodeVerdict, RecordCodes
from fabric_jobs.facade.log.errors import (
    LogDataLossError,
    LogError,
    LogUnavailableError,
    TopicError,
)
from fabric_jobs.facade.log.log import Log
from fabric_jobs.facade.log.partition_count import explain_unused
from fabric_jobs.facade.log.poison import PoisonRecords
from fabric_jobs.facade.log.preflight import (
    Replication,
    describe_replication,
    read_broker_time,
)
from fabric_jobs.facade.log.producer import has_broker_time
from fabric_jobs.facade.log.reader import Checkpoint, Reader, Record
from fabric_jobs.facade.log.scan import read_sample, scan_topic
from fabric_jobs.facade.log.topic_spec import TopicSpec

__all__ = [
    "Checkpoint",
    "CodeVerdict",
    "Log",
    "LogDataLossError",
    "LogError",
    "LogUnavailableError",
    "PoisonRecords",
    "Reader",
    "Record",
    "RecordCodes",
    "Replication",
    "TopicError",
    "TopicSpec",
    "describe_replication",
    "explain_unused",
    "has_broker_time",
    "open_admin_client",
    "read_broker_time",
    "read_sample",
    "scan_topic",
]
