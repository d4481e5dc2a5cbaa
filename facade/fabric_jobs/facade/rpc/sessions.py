"""The streams that executors hold with this replica."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import grpc

from fabric_jobs.contract import events
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.replica import Change, Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb

MAX_ID_CHARS = 128
#: With the longest names, the types still leave room for runs in a heartbeat's record.
MAX_JOB_TYPES = 400
MAX_NAME_CHARS = 128


class Sessions:
    """Opens and ends them, and knows which are open."""

    def __init__(self, jobs: Jobs, replica: Replica, roster: Roster) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._open: defaultdict[str, set[Session]] = defaultdict(set)
        self._stopping = False
        replica.listeners.add(self._changed)

    def open(self) -> Sequence[Session]:
        """The streams that are open now."""
        return [session for sessions in self._open.values() for session in sessions]

    def stop(self) -> None:
        """Ends every stream once what was asked on it is answered, and opens none."""
        self._stopping = True
        for session in self.open():
            session.end()

    async def serve(
        self, requests: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        """What is to be sent on a stream that has just been opened."""
        if self._stopping:
            await abort(
                context, grpc.StatusCode.UNAVAILABLE, "STOPPING", "Connect to another replica."
            )
        first = await anext(aiter(requests), None)
        if first is None:
            return  # it was ended before anything was said
        if fault := _fault(first.hello):
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_HELLO",
                f"The first message must carry hello, and {fault}.",
            )
        executor_id = first.hello.executor_id
        session = Session(first.hello, self._jobs, self._replica, self._roster)
        self._open[executor_id].add(session)
        reading = asyncio.create_task(session.read(first, requests), name="read a session")
        try:
            async for response in session.responses():
                yield response
        finally:
            self._open[executor_id].discard(session)
            if not self._open[executor_id]:
                del self._open[executor_id]
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    def _changed(self, change: Change) -> None:
        """A cancel is pushed by the replica that holds the executor's stream, whoever took it."""
        if isinstance(change.event, events.CancelRequested):
            job = change.stored.job
            for session in self._open.get(job.state.executor_id or "", ()):
                session.cancel(pb.Run(job_id=job.job_id, attempt=job.state.attempt))


def _fault(hello: pb.Hello) -> str | None:
    """What is wrong with a hello, if anything is."""
    if not 0 < len(hello.executor_id) <= MAX_ID_CHARS:
        return f"its executor_id must have 1 to {MAX_ID_CHARS} characters"
    if len(hello.job_types) > MAX_JOB_TYPES:
        return f"it may name {MAX_JOB_TYPES} job types at most"
    names = [name for kind in hello.job_types for name in (kind.item_type, kind.job_type)]
    if any(len(name) > MAX_NAME_CHARS for name in (hello.pool, *names)):
        return f"its names may have {MAX_NAME_CHARS} characters at most"
    return None
