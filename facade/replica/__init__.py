"""The replica: the events of the log, folded into SQLite; it touches no Kafka client."""

from facade.replica.replica import KEPT, Change, Replica
from facade.replica.store import Entry, Identity, StateInUseError, Store

__all__ = ["KEPT", "Change", "Entry", "Identity", "Replica", "StateInUseError", "Store"]
