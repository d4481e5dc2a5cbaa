"""Offers jobs that no executor has claimed to executors with a free slot.

Executors normally find jobs on the Kafka topic. A job can be stuck there, because its partition
belongs to a full executor or because an offset was lost. An executor answers an offer with an
ordinary claim, so an unnecessary offer only leads to a refused claim.
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

#: Seconds between two rounds of offers.
ROUND_INTERVAL_S = 1.0
#: Seconds that a dispatched job waits before its first offer, and then before each further one.
OFFER_AFTER_S = 5.0
#: Bound of the payloads offered on one stream in one round, in bytes. It is below the size of a
#: message that gRPC clients accept by default.
MAX_ROUND_BYTES = 1024 * 1024


class OfferLoop:
    """Offers waiting jobs on the sessions of this replica, in one round a second."""

    def __init__(self, replica: Replica, sessions: Sessions, ready: Callable[[], bool]) -> None:
        self._replica = replica
        self._sessions = sessions
        self._ready = ready
        #: When each attempt was last offered, on the monotonic clock.
        self._offered: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Makes offers until cancelled."""
        while True:
            await asyncio.sleep(ROUND_INTERVAL_S)
            # A replica that has not read the log to its end would offer jobs that are claimed.
            if self._ready():
                self.run_round()

    def run_round(self) -> None:
        """Offers each session with free slots the jobs that have waited longest."""
        now = time.monotonic()
        self._offered = {run: at for run, at in self._offered.items() if now - at < OFFER_AFTER_S}
        # Those that leave offers unanswered come last, so they take no jobs from the others.
        for session in sorted(self._sessions.open_sessions(), key=Session.count_open_offers):
            if session.offer_room() > 0 and session.accepted_kinds:
                self._offer_on(session, now)

    def _offer_on(self, session: Session, now: float) -> None:
        dispatched_before = datetime.now(UTC) - timedelta(seconds=OFFER_AFTER_S)
        slots, room = session.offer_room(), MAX_ROUND_BYTES
        # Jobs that were offered a moment ago may come first in the result.
        limit = slots + len(self._offered)
        for stored in self._replica.queued_jobs(session.accepted_kinds, dispatched_before, limit):
            run = stored.job.job_id, stored.job.state.attempt
            if run in self._offered:
                continue
            session.offer(_offer_of(stored))
            self._offered[run] = now
            slots -= 1
            room -= len(stored.job.payload) + len(stored.job.definition)
            if not slots or room < 0:
                return


def _offer_of(stored: StoredJob) -> pb.Offer:
    job = stored.job
    return pb.Offer(
        job=job_to_proto(job),
        # The last event of a job that waits for a claim is the one that dispatched it.
        record=pb.Record(
            event_id=job.dispatch_id, partition=stored.partition, offset=stored.offset
        ),
        payload=job.payload,
        definition=job.definition,
    )
