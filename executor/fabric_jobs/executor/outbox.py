"""The entries of the stream that are not answered: those to send, and those that were sent."""

import asyncio
from itertools import count

from msgspec import Struct

from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bytes of entries after which a message is full; below what gRPC takes (4 MiB).
FULL_MESSAGE_BYTES = 1024 * 1024


class _Asked(Struct):
    entry: pb.Claim | pb.Report
    answer: asyncio.Future[pb.Answer]
    #: When it began to wait for the stream that is open now.
    since: float


class Outbox:
    """Claims and reports on their way up; each keeps its entry id until it is answered."""

    def __init__(self) -> None:
        self._ids = count(1)
        #: By entry id, the one that waits longest first.
        self._asked: dict[int, _Asked] = {}
        self._to_send: dict[int, pb.Claim | pb.Report] = {}
        #: Set while there is something to send.
        self.filled = asyncio.Event()

    async def ask(self, entry: pb.Claim | pb.Report) -> pb.Answer:
        """The answer to the entry, on whichever stream it comes; cancelling withdraws the entry."""
        if not entry.entry_id:
            entry.entry_id = next(self._ids)
        entry_id = entry.entry_id
        answer: asyncio.Future[pb.Answer] = asyncio.get_running_loop().create_future()
        self._asked[entry_id] = _Asked(entry, answer, _now())
        self._to_send[entry_id] = entry
        self.filled.set()
        try:
            return await answer
        finally:
            del self._asked[entry_id]
            self._to_send.pop(entry_id, None)

    def waited_s(self) -> float:
        """Seconds that the oldest entry has waited for its answer on this stream."""
        longest = next(iter(self._asked.values()), None)
        return _now() - longest.since if longest else 0

    def take(self) -> pb.SessionRequest:
        """Everything that waits to be sent, in one message, up to its bound."""
        request = pb.SessionRequest()
        size = 0
        while self._to_send and size < FULL_MESSAGE_BYTES:
            entry = self._to_send.pop(next(iter(self._to_send)))
            size += entry.ByteSize()
            if isinstance(entry, pb.Claim):
                request.claims.append(entry)
            else:
                request.reports.append(entry)
        if not self._to_send:
            self.filled.clear()
        return request

    def reopen(self) -> None:
        """A new stream: what the last one left unanswered is sent again, the oldest first."""
        for asked in self._asked.values():
            asked.since = _now()
        self._to_send = {entry_id: asked.entry for entry_id, asked in sorted(self._asked.items())}
        if self._to_send:
            self.filled.set()

    def answer(self, answer: pb.Answer) -> None:
        """Hands an answer to whoever asked; nobody asks any more for a withdrawn entry."""
        if (asked := self._asked.get(answer.entry_id)) and not asked.answer.done():
            asked.answer.set_result(answer)


def _now() -> float:
    return asyncio.get_running_loop().time()
