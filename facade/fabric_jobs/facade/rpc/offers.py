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
Rule 4: an executor is offered jobs in the order of its ready queue, by the priorities of its own
handlers and the runs that it has of each tenant.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.facade import metrics
from fabric_jobs.facade.clock import utc_now
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.lifecycle import Sealed
from fabric_jobs.facade.replica import Replica, StoredJob
from fabric_jobs.facade.rpc.convert import job_to_proto
from fabric_jobs.facade.rpc.offer_order import order_offers
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
#: Of how many of the oldest jobs of each type and default priority a round chooses, beside those
#: that fill the idle slots. Fair sharing between tenants reaches so far.
FAIR_JOBS = 100


class OfferLoop:
    """Offers waiting jobs on the sessions of this replica, in ten rounds a second."""

    def __init__(
        self,
        replica: Replica,
        sessions: Sessions,
        controls: Controls,
        secrets: JobSecrets,
        ready: Callable[[], bool],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._replica = replica
        self._sessions = sessions
        self._controls = controls
        self._secrets = secrets
        self._ready = ready
        self._now = now

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
        now = self._now()
        waiting = self._replica.queued_jobs(
            sorted(kinds),
            now,
            PATIENCE,
            # Jobs that are claimed or offered already may come first.
            FAIR_JOBS + sum(idle.values()) + sum(session.slots.undecided for session in sessions),
        )
        unclaimed = [
            stored
            for stored in waiting
            if not _is_held(stored, sessions) and self._secrets.knows_keys(stored.job)
        ]
        turns = [
            _Turn(session, slots, MAX_ROUND_BYTES, _jobs_for(session, unclaimed, now))
            for session, slots in idle.items()
        ]
        while turns:
            # Sessions that leave offers unanswered come last, so they take no jobs from the others.
            turn = min(turns, key=lambda turn: (turn.session.slots.open_offers, -turn.idle))
            stored = turn.next_job(sessions)
            if stored is None:
                turns.remove(turn)
                continue
            offer = self._offer_of(stored)
            turn.session.offer(offer)
            metrics.OFFERS.add(1)
            turn.idle -= 1
            turn.room -= len(offer.payload) + len(offer.definition) + len(offer.checkpoint)

    def _offer_of(self, stored: StoredJob) -> pb.Offer:
        """The offer of a job. Sealed content is not in it: the answer to the claim brings it."""
        job = stored.job
        return pb.Offer(
            job=job_to_proto(self._secrets.reveal(job)),
            # The last event of a job that waits for a claim is the one that dispatched it.
            record=pb.Record(
                event_id=job.dispatch_id, partition=stored.partition, offset=stored.offset
            ),
            payload=_unless_sealed(job.payload) or b"null",
            definition=_unless_sealed(job.definition),
            checkpoint=_unless_sealed(job.checkpoint),
        )


class _Turn(Struct, eq=False):
    """What a session may still be offered in one round."""

    session: Session
    idle: int
    #: Bytes of payloads, definitions and checkpoints.
    room: int
    #: The jobs that the executor has handlers for, in the order in which it should start them.
    jobs: Iterator[StoredJob]

    def next_job(self, sessions: Sequence[Session]) -> StoredJob | None:
        """The next job to offer, which no session holds; None if nothing more fits."""
        if self.idle <= 0 or self.room <= 0:
            return None
        for stored in self.jobs:
            has_room = self.session.slots.has_room(JobKind.of(stored.job.state))
            if has_room and not _is_held(stored, sessions):
                return stored
        return None


def _jobs_for(session: Session, waiting: Iterable[StoredJob], now: datetime) -> Iterator[StoredJob]:
    kinds = frozenset(session.kinds)
    able = [stored for stored in waiting if JobKind.of(stored.job.state) in kinds]
    return iter(order_offers(able, session.priority_of, session.slots.tenant_runs, now))


def _is_held(stored: StoredJob, sessions: Iterable[Session]) -> bool:
    run = stored.job.job_id, stored.job.state.attempt
    return any(session.slots.holds(run) for session in sessions)


def _unless_sealed(value: bytes | Sealed | None) -> bytes:
    return b"" if value is None or isinstance(value, Sealed) else value
