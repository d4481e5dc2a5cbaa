"""The facades that are alive, known by their heartbeats: rank, and what all must have in common."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from fabric_jobs.contract.heartbeats import FacadeHeartbeat
from fabric_jobs.facade.clock import utc_now
from fabric_jobs.runtime.settings import variable

log = logging.getLogger("fabric_jobs.roster")

#: Seconds between two heartbeats of a facade.
HEARTBEAT_S = 5.0
#: Seconds of silence after which a facade no longer counts.
MAX_FACADE_SILENCE_S = 3 * HEARTBEAT_S
#: Bound of the facades that are remembered.
MAX_FACADES = 1000
#: Bound of a rank. A facade acts a second later for each rank, so a writer of the topic that claims
#: to be many facades can delay deadlines by so many seconds.
MAX_RANK = 10

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class _Peer(NamedTuple):
    """Another facade's last heartbeat."""

    heartbeat: FacadeHeartbeat
    #: When this facade read it, on the monotonic clock.
    read_at: float
    #: When it was written, by the clock that `Peers.apply` was given.
    written: datetime


class Peers:
    """This facade among the others."""

    def __init__(self, facade_id: str, longest_life_s: int) -> None:
        """`longest_life_s` is the value of this facade's setting."""
        self._own = FacadeHeartbeat(
            facade_id=facade_id,
            time=(now := utc_now()),
            start_time=now,
            longest_life_s=longest_life_s,
        )
        #: By id. The one whose heartbeat was read longest ago comes first.
        self._peers: dict[str, _Peer] = {}
        #: When the last record was written. A broker's clock may have been ahead at earlier ones.
        self._last_written = _LONG_AGO
        self._conflict = ""
        #: Returns where a new replica may take a copy of this one's state; empty if nowhere.
        self.copy_address: Callable[[], str] = lambda: ""

    def heartbeat(self) -> FacadeHeartbeat:
        """This facade's next heartbeat."""
        return replace(self._own, time=utc_now(), copy_address=self.copy_address())

    def copy_addresses(self) -> Sequence[str]:
        """The addresses of the live facades that give copies, the last heard of first."""
        living = reversed(self._living())
        return [peer.copy_address for peer in living if peer.copy_address]

    def rank(self) -> int:
        """The number of live facades before this one, `MAX_RANK` at most.

        The facade of rank 0 acts first. Facades of the same rank may act at the same time; the log
        decides which of them wins.
        """
        before = sum(peer.facade_id < self._own.facade_id for peer in self._living())
        return min(before, MAX_RANK)

    @property
    def longest_life_s(self) -> int:
        """The longest life of a job in the service: the setting of the eldest live facade."""
        return self._eldest().longest_life_s

    @property
    def conflict(self) -> str:
        """Why this facade can't serve beside the others, and what to do; empty if it can."""
        own, eldest = self._own, self._eldest()
        if own.longest_life_s == eldest.longest_life_s:
            return ""
        name = variable("longest_life_s")
        return (
            f"{name} is {own.longest_life_s} here and {eldest.longest_life_s} in the eldest facade "
            f"({eldest.facade_id}): set one value for all facades, and restart those that differ."
        )

    def apply(self, heartbeat: FacadeHeartbeat, written: datetime) -> None:
        """Takes in another facade's heartbeat."""
        self._peers.pop(heartbeat.facade_id, None)
        self._peers[heartbeat.facade_id] = _Peer(heartbeat, time.monotonic(), written)
        if len(self._peers) > MAX_FACADES:
            del self._peers[next(iter(self._peers))]

    def note_time(self, written: datetime) -> None:
        """Notes when the last record was written; a heartbeat's age is measured from it."""
        self._last_written = written

    def forget_silent(self) -> None:
        """Forgets the facades that are silent; logs a conflict that has begun or ended."""
        living = {peer.facade_id for peer in self._living()}
        self._peers = {name: peer for name, peer in self._peers.items() if name in living}
        was, self._conflict = self._conflict, self.conflict
        if self._conflict and self._conflict != was:
            log.error("this facade is not ready: %s", self._conflict)
        elif was and not self._conflict:
            log.info("this facade no longer differs from the eldest one")

    def clear(self) -> None:
        """Forgets every facade."""
        self._peers.clear()
        self._last_written = _LONG_AGO

    def _eldest(self) -> FacadeHeartbeat:
        return min([*self._living(), self._own], key=_age_order)

    def _living(self) -> list[FacadeHeartbeat]:
        """The last heartbeats of the other facades that are alive.

        The first heartbeats that a facade reads after its start may be old. So a heartbeat counts
        only if the latest record is not much younger.
        """
        since = time.monotonic() - MAX_FACADE_SILENCE_S
        silence = timedelta(seconds=MAX_FACADE_SILENCE_S)
        return [
            peer.heartbeat
            for peer in self._peers.values()
            if peer.read_at >= since and self._last_written - peer.written <= silence
        ]


def _age_order(heartbeat: FacadeHeartbeat) -> tuple[datetime, str]:
    """The least for the eldest facade. Heartbeats of an earlier version have no start time."""
    return heartbeat.start_time or _LONG_AGO, heartbeat.facade_id
