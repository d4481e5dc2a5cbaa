"""The entries of the stream that have no answer yet: claims and reports, sent or still to send."""

import asyncio
from itertools import count

from msgspec import Struct

from fabric_jobs.status.v1 import job_status_pb2 as pb

#: A message gets no further entry once its entries have this many bytes. The largest entry more is
#: still below the facade's limit of 2 MiB for a message.
TARGET_MESSAGE_BYTES = 1024 * 1024


class _PendingEntry(Struct):
    entry: pb.Claim | pb.Report
    answer: asyncio.Future[pb.Answer]
    #: The loop's time at which it began to wait for an answer on the current stream.
    waiting_since: float


class Outbox:
    """The unanswered entries of a session. An entry keeps its entry id until it is answered."""

    def __init__(self) -> None:
        self._ids = count(1)
        #: By entry id. The entry that waits longest comes first.
        self._pending: dict[int, _PendingEntry] = {}
        self._to_send: dict[int, pb.Claim | pb.Report] = {}
        #: The ids of claims that may be granted without an answer having come: they were sent on a
        #: stream that ended, or were undecided.
        self.uncertain: set[int] = set()
        #: Set while there are entries to send.
        self.has_entries = asyncio.Event()

    async def ask(self, entry: pb.Claim | pb.Report) -> pb.Answer:
        """Queues an entry for sending, and returns its answer, whichever stream brings it.

        An entry without an entry id gets one. To cancel this call withdraws the entry.
        """
        if not entry.entry_id:
            entry.entry_id = next(self._ids)
        entry_id = entry.entry_id
        answer: asyncio.Future[pb.Answer] = asyncio.get_running_loop().create_future()
        self._pending[entry_id] = _PendingEntry(entry, answer, _now())
        self._to_send[entry_id] = entry
        self.has_entries.set()
        try:
            return await answer
        finally:
            del self._pending[entry_id]
            self._to_send.pop(entry_id, None)

    def longest_wait_s(self) -> float:
        """Returns the seconds that the oldest entry has waited for its answer on this stream."""
        oldest = next(iter(self._pending.values()), None)
        return _now() - oldest.waiting_since if oldest else 0

    def next_message(self) -> pb.SessionRequest:
        """Removes entries from the queue, up to the size of a message, and returns that message.

        The message is empty if the queue is.
        """
        request = pb.SessionRequest()
        size = 0
        while self._to_send and size < TARGET_MESSAGE_BYTES:
            entry = self._to_send.pop(next(iter(self._to_send)))
            size += entry.ByteSize()
            if isinstance(entry, pb.Claim):
                request.claims.append(entry)
            else:
                request.reports.append(entry)
        if not self._to_send:
            self.has_entries.clear()
        return request

    def resend_all(self) -> None:
        """Queues every unanswered entry for a new stream, the oldest first."""
        for entry_id, pending in self._pending.items():
            pending.waiting_since = _now()
            if isinstance(pending.entry, pb.Claim) and entry_id not in self._to_send:
                self.uncertain.add(entry_id)
        self._to_send = {
            entry_id: pending.entry for entry_id, pending in sorted(self._pending.items())
        }
        if self._to_send:
            self.has_entries.set()

    def resolve(self, answer: pb.Answer) -> None:
        """Passes an answer to the caller of `ask`. An answer to a withdrawn entry is ignored."""
        pending = self._pending.get(answer.entry_id)
        if pending and not pending.answer.done():
            pending.answer.set_result(answer)


def _now() -> float:
    return asyncio.get_running_loop().time()
