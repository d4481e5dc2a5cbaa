"""Whether a replica lives, and whether it is to be sent requests."""

import asyncio
from collections.abc import Collection, Sequence

from fabric_jobs.facade.log import Log
from fabric_jobs.facade.roster import Roster

#: How old the last sight of the log's end may be for a replica to be sent requests, in seconds.
READY_S = 30.0


class ReplicaHealth:
    """What the probes are told, and those who act only in a replica that is ready."""

    def __init__(self, log: Log, roster: Roster) -> None:
        self._log = log
        self._roster = roster
        self._draining = False
        #: What the replica can't live without; one that has ended has taken the replica along.
        self.tasks: Collection[asyncio.Task[None]] = ()

    def drain(self) -> None:
        """It is about to stop."""
        self._draining = True

    def ready(self) -> bool:
        """Whether it is to be sent requests."""
        return not self.unready()

    def unready(self, fresh_s: float = READY_S) -> Sequence[str]:
        """Why it is to be sent none; nothing where all is well.

        `fresh_s` is how old the last sight of the log's end may be, in seconds.
        """
        reasons = {
            "It is stopping: go to another replica.": self._draining,
            f"The log's end was not seen for {fresh_s:.0f} s: look whether Kafka is well.": (
                self._log.lag_s > fresh_s
            ),
            "This machine's clock is not the broker's: set the clock.": (
                not self._roster.clock_is_right
            ),
        }
        return [reason for reason, holds in reasons.items() if holds]

    def dead(self) -> Sequence[str]:
        """Why it should be started anew; nothing while it lives."""
        return [f"{task.get_name()} has ended" for task in self.tasks if task.done()]
