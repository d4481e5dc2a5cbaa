"""The next response of a session: collects, within bounds, what is to be sent to the executor."""

import asyncio
from typing import Any

from fabric_jobs.contract.heartbeats import MAX_SLOTS, Run
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bound of the runs that one response cancels or stops. The next heartbeat leads to the others.
MAX_RESPONSE_RUNS = MAX_SLOTS
#: Bound of the contents of granted attempts in one response, which has one content at least. It is
#: below the size of a message that gRPC clients accept by default.
MAX_CONTENT_BYTES = 1024 * 1024


class NextResponse:
    """Collects answers, offers, cancels and stops until the stream takes them as one response."""

    def __init__(self) -> None:
        self._response = pb.SessionResponse()
        #: The bytes of the contents of granted attempts in `_response`.
        self._content_bytes = 0
        #: The runs that `_response` cancels or stops.
        self._runs: set[Run] = set()
        #: Whether a heartbeat came that no response has followed yet.
        self._heartbeat_unanswered = False
        #: Set, and replaced, when `_response` is taken.
        self._taken = asyncio.Event()

    @property
    def is_due(self) -> bool:
        """Whether there is something to send."""
        return bool(self._response.ByteSize()) or self._heartbeat_unanswered

    @property
    def has_offers(self) -> bool:
        """Whether offers wait to be sent."""
        return bool(self._response.offers)

    def take(self) -> pb.SessionResponse:
        """Returns what was collected, and begins another response."""
        response, self._response = self._response, pb.SessionResponse()
        self._content_bytes = 0
        self._runs.clear()
        self._heartbeat_unanswered = False
        taken, self._taken = self._taken, asyncio.Event()
        taken.set()
        return response

    def cancel(self, run: Run) -> None:
        """Adds a run that the executor is to cancel."""
        self._add_run(run, self._response.cancels)

    def stop(self, run: Run) -> None:
        """Adds a run that the executor is to end, because its attempt is over."""
        self._add_run(run, self._response.stops)

    def offer(self, offer: pb.Offer) -> None:
        """Adds the offer of a waiting attempt."""
        self._response.offers.append(offer)

    def answer_heartbeat(self) -> None:
        """Makes a response due, also an empty one: it shows that this facade is there."""
        self._heartbeat_unanswered = True

    def refuse(self, refusal: pb.Answer) -> None:
        """Adds the answer to an entry that is refused at once."""
        self._response.answers.append(refusal)

    async def answer(self, answer: pb.Answer) -> None:
        """Adds an answer once a response has room for the content that it may have."""
        size = answer.dispatch.ByteSize()  # 0 without a content
        while size and self._content_bytes and self._content_bytes + size > MAX_CONTENT_BYTES:
            await self._taken.wait()
        self._content_bytes += size
        # Looked up only now, because another response may be next after the wait.
        self._response.answers.append(answer)

    def _add_run(self, run: Run, runs: Any) -> None:
        """Adds the run to a list of the response, unless the response is full or names it."""
        if run not in self._runs and len(self._runs) < MAX_RESPONSE_RUNS:
            self._runs.add(run)
            runs.append(pb.Run(job_id=run.job_id, attempt=run.attempt))
