"""Offers jobs that no executor has claimed to executors with a free slot.

Executors normally find jobs on the Kafka topic. A job can be stuck there, because its partition
belongs to an executor that is full or has many jobs to choose from, or because an offset was lost.
An executor answers an offer with an ordinary claim, so an unnecessary offer only leads to a refused
claim.

Rule 1: a job is offered once it has waited for `PATIENCE`. A job that takes the fast path starts
long before.
Rule 2: an offer needs a slot that was free for a whole round. An executor fills a slot that is
freed by itself, at once, where it has a job.
Rule 3: a job that was offered is offered again, to any executor, if its claim does not come.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade import metrics
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.lifecycle import Sealed
from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.rpc.convert import job_to_proto
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.facade.rpc.sessions import Sessions
from fabric_jobs.facade.sealing import JobSecrets
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds between two rounds of offers.
ROUND_INTERVAL_S = 0.1
#: How long a dispatched job waits before its first offer.
PATIENCE = timedelta(seconds=0.5)
#: Bound of the payloads, definitions and checkpoints offered on one stream in one round, in bytes.
#: It is below the size of a message that gRPC clients accept by default.
MAX_ROUND_BYTES = 1024 * 1024


class OfferLoop:
    """Offers waiting jobs on the sessions of this replica, in ten rounds a second."""

    def __init__(
        self,
        replica: Replica,
        sessions: Sessions,
        controls: Controls,
        secrets: JobSecrets,
        ready: Callable[[], bool],
    ) -> None:
        self._replica = replica
        self._sessions = sessions
        self._controls = controls
        self._secrets = secrets
        self._ready = ready

    async def run(self) -> None:
        """Makes offers until cancelled."""
        while True:
            await asyncio.sleep(ROUND_INTERVAL_S)
            # A replica that has not read the log to its end would offer jobs that are claimed.
            if self._ready():
                self.run_round()

    def run_round(self) -> None:
        """Offers jobs, in the order in which they should start, while there are idle slots."""
        sessions = self._sessions.open_sessions()
        idle = {session: min(session.slots.idle(), session.offer_room()) for session in sessions}
        idle = {session: slots for session, slots in idle.items() if slots > 0}
        kinds = {kind for session in idle for kind in session.kinds if session.slots.has_room(kind)}
        kinds -= self._controls.paused.keys()
        if not kinds:
            return
        room = dict.fromkeys(idle, MAX_ROUND_BYTES)
        waiting = self._replica.queued_jobs(
            sorted(kinds),
            datetime.now(UTC),
            PATIENCE,
            # Jobs that are claimed or offered already may come first.
            sum(idle.values()) + sum(session.slots.undecided for session in sessions),
        )
        for stored in waiting:
            run = stored.job.job_id, stored.job.state.attempt
            if any(session.slots.holds(run) for session in sessions):
                continue
            if session := self._choose(idle, room, stored):
                offer = self._offer_of(stored)
                session.offer(offer)
                metrics.OFFERS.add(1)
                idle[session] -= 1
                room[session] -= len(offer.payload) + len(offer.definition) + len(offer.checkpoint)

    @staticmethod
    def _choose(
        idle: dict[Session, int], room: dict[Session, int], stored: StoredJob
    ) -> Session | None:
        """The session that takes the job.

        Sessions that leave offers unanswered come last, so they take no jobs from the others.
        """
        state = stored.job.state
        kind = JobKind(state.item_type, state.job_type)
        able: Sequence[Session] = [
            session
            for session, slots in idle.items()
            if slots > 0
            and room[session] > 0
            and kind in session.kinds
            and session.slots.has_room(kind)
        ]
        return min(
            able,
            key=lambda session: (session.slots.open_offers, -idle[session]),
            default=None,
        )

    def _offer_of(self, stored: StoredJob) -> pb.Offer:
        """The offer of a job. Sealed content is not in it: the answer to the claim brings it."""
        job = stored.job
        return pb.Offer(
            job=job_to_proto(self._secrets.reveal(job)),
            # The last event of a job that waits for a claim is the one that dispatched it.
            record=pb.Record(
                event_id=job.dispatch_id, partition=stored.partition, offset=stored.offset
            ),
            payload=_unless_sealed(job.payload),
            definition=_unless_sealed(job.definition),
            checkpoint=_unless_sealed(job.checkpoint),
        )


def _unless_sealed(value: bytes | Sealed | None) -> bytes:
    return b"" if value is None or isinstance(value, Sealed) else value
