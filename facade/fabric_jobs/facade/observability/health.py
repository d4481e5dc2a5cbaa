"""The health of a replica: whether its process must be restarted, and whether it is ready."""

import asyncio
from collections.abc import Collection, Sequence

from fabric_jobs.facade.log import Log
from fabric_jobs.facade.roster import Roster

#: Seconds since the log's end was last confirmed, for a replica to be ready.
READY_S = 30.0


class ReplicaHealth:
    """Answers the probes, and those parts that act only while the replica is ready."""

    def __init__(self, log: Log, roster: Roster) -> None:
        self._log = log
        self._roster = roster
        self._draining = False
        #: Essential tasks. If one of them ends, the replica must be restarted.
        self.tasks: Collection[asyncio.Task[None]] = ()

    def drain(self) -> None:
        """Makes the replica not ready for the rest of its life."""
        self._draining = True

    def ready(self) -> bool:
        """Whether the replica is ready for requests."""
        return not self.unready_reasons()

    def unready_reasons(self, fresh_s: float = READY_S) -> Sequence[str]:
        """Why the replica is not ready, each with what to do; empty if it is ready.

        `fresh_s` is how long ago the log's end may have been confirmed, in seconds.
        """
        conflict = self._roster.peers.conflict
        reasons = {
            "This facade is stopping: use another one.": self._draining,
            f"The end of the log was not confirmed for {fresh_s:.0f} s. "
            f"{self._log.fault or 'Check Kafka.'}": (not self._log.is_confirmed_within(fresh_s)),
            "The clock was not compared with the broker's yet: Kafka takes no heartbeat.": (
                not self._roster.clock.is_confirmed
            ),
            "This machine's clock differs from the broker's: set the clock.": (
                not self._roster.clock.is_right
            ),
            conflict: bool(conflict),
        }
        return [reason for reason, applies in reasons.items() if applies]

    def failures(self) -> Sequence[str]:
        """Why the replica must be restarted; empty while it works."""
        return [
            f"The task {task.get_name()!r} has ended: restart this facade."
            for task in self.tasks
            if task.done()
        ]
