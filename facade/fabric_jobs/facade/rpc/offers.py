"""Offers: a job that the fast path left behind is shown to an executor with a free slot.

Kafka is the fast path, not the promise: a partition may stand behind a full executor, or an offset
be lost. The answer to an offer is an ordinary claim, so one too many costs no more than a refusal.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.rpc.convert import job_to_proto
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.status.v1 import job_status_pb2 as pb

TICK_S = 1.0
#: How long a dispatched job waits for the fast path, and an offered one for its claim.
PATIENCE_S = 5.0
#: Payloads of one round and stream, in bytes: below what gRPC clients take in one message.
MAX_ROUND_BYTES = 1024 * 1024


class Offers:
    """Looks for jobs that were left behind, for as long as it runs."""

    def __init__(self, replica: Replica, sessions: Sessions, ready: Callable[[], bool]) -> None:
        self._replica = replica
        self._sessions = sessions
        self._ready = ready
        self._offered: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Offers until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            # A replica that is behind would offer what was taken.
            if self._ready():
                self.tick()

    def tick(self) -> None:
        """Offers once, to each executor of this replica as much as it has room for."""
        now = time.monotonic()
        self._offered = {run: at for run, at in self._offered.items() if now - at < PATIENCE_S}
        for session in self._sessions.open():
            if session.free_slots > 0 and session.wanted:
                self._offer(session, now)

    def _offer(self, session: Session, now: float) -> None:
        before = datetime.now(UTC) - timedelta(seconds=PATIENCE_S)
        room = MAX_ROUND_BYTES
        # Those that others were offered a moment ago may come first.
        most = session.free_slots + len(self._offered)
        for entry in self._replica.queued_jobs(session.wanted, before, most):
            run = entry.job.job_id, entry.job.state.attempt
            if run in self._offered:
                continue
            session.offer(self._message(entry))
            self._offered[run] = now
            room -= len(entry.job.payload)
            if not session.free_slots or room < 0:
                return

    @staticmethod
    def _message(entry: StoredJob) -> pb.Offer:
        job = entry.job
        return pb.Offer(
            job=job_to_proto(job),
            # A job that waits was dispatched by its last event.
            record=pb.Record(
                event_id=job.dispatch_id, partition=entry.partition, offset=entry.offset
            ),
            payload=job.payload,
        )
