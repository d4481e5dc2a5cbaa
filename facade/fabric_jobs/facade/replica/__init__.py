"""The replica: folds the events of the log into SQLite. It touches no Kafka client."""

from fabric_jobs.facade.replica.database import StateInUseError
from fabric_jobs.facade.replica.filter import Filter
from fabric_jobs.facade.replica.identity import Identity
from fabric_jobs.facade.replica.replica import Change, Replica
from fabric_jobs.facade.replica.state_file import StateDamagedError, StateError
from fabric_jobs.facade.replica.store import Store
from fabric_jobs.facade.replica.stored_job import StoredJob
from fabric_jobs.facade.replica.unfinished import DueJob

__all__ = [
    "Change",
    "DueJob",
    "Filter",
    "Identity",
    "Replica",
    "StateDamagedError",
    "StateError",
    "StateInUseError",
    "Store",
    "StoredJob",
]
