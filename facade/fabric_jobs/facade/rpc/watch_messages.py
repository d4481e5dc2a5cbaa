"""The messages of changes, for all watches of a replica."""

from collections.abc import Callable
from typing import NamedTuple

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.replica import Change
from fabric_jobs.facade.rpc.convert import change_to_proto
from fabric_jobs.facade.sealing import Revealed
from fabric_jobs.status.v1 import job_status_pb2 as pb


class WatchMessage(NamedTuple):
    """A message, and its size in bytes."""

    response: pb.WatchJobsResponse
    size: int


class WatchMessages:
    """Makes the message of each change once, and the watches share it.

    A replica gives each change to all listeners before the next change. A message of its own for
    each of 200 watches would hold the event loop for 2.5 ms.
    """

    def __init__(self, reveal: Callable[[Job], Revealed]) -> None:
        """`reveal` opens the texts of a job."""
        self._reveal = reveal
        self._last: tuple[Change, WatchMessage] | None = None

    def message_of(self, change: Change) -> WatchMessage:
        """Returns the message of a change; nobody may change it."""
        if self._last is None or self._last[0] is not change:
            response = change_to_proto(change, self._reveal(change.stored.job))
            self._last = change, WatchMessage(response, response.ByteSize())
        return self._last[1]
