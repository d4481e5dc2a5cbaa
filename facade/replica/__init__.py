"""The replica: the events of the log, folded into SQLite; it touches no Kafka client."""

from facade.replica.database import StateInUseError
from facade.replica.filter import Filter
from facade.replica.identity import Identity
from facade.replica.memory import Entry
from facade.replica.replica import KEPT, Change, Replica
from facade.replica.store import Store

__all__ = ["KEPT", "Change", "Entry", "Filter", "Identity", "Replica", "StateInUseError", "Store"]
