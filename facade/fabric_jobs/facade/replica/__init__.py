"""The replica: the events of the log, folded into SQLite; it touches no Kafka client."""

from fabric_jobs.facade.replica.database import StateInUseError
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.identity import Identity
from fabric_jobs.facade.replica.memory import StoredJob
from fabric_jobs.facade.replica.replica import KEPT, Change, Replica
from fabric_jobs.facade.replica.store import Store

__all__ = [
    "KEPT",
    "Change",
    "Filter",
    "Identity",
    "Replica",
    "StateInUseError",
    "Store",
    "StoredJob",
]
