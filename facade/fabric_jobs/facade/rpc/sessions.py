"""The sessions of the executors that are connected to this replica."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import grpc

from fabric_jobs.contract import events
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.replica import Change, Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.errors import Context, abort
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Bounds of a `Hello`: the executor's id, its job types, and the pool's and each type's name. With
#: the largest of them, a record of the heartbeats topic still has room for runs.
MAX_ID_CHARS = 128
MAX_JOB_TYPES = 400
MAX_NAME_CHARS = 128


class Sessions:
    """Opens and ends sessions, and pushes cancels to them."""

    def __init__(self, jobs: Jobs, replica: Replica, roster: Roster, controls: Controls) -> None:
        self._jobs = jobs
        self._replica = replica
        self._roster = roster
        self._controls = controls
        self._by_executor: defaultdict[str, set[Session]] = defaultdict(set)
        self._stopping = False
        replica.listeners.add(self._on_change)

    def open_sessions(self) -> Sequence[Session]:
        """Returns the sessions that are open now."""
        return [session for sessions in self._by_executor.values() for session in sessions]

    def stop(self) -> None:
        """Ends every session after its pending answers, and opens no more."""
        self._stopping = True
        for session in self.open_sessions():
            session.end()

    async def serve(
        self, requests: AsyncIterator[pb.SessionRequest], context: Context
    ) -> AsyncIterator[pb.SessionResponse]:
        """Opens a session on a new stream, and yields its responses."""
        if self._stopping:
            await abort(
                context,
                grpc.StatusCode.UNAVAILABLE,
                "STOPPING",
                "This replica is stopping. Connect to another replica.",
            )
        first = await anext(aiter(requests), None)
        if first is None:
            return  # the client ended the stream without a message
        if fault := _find_fault(first.hello):
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_HELLO",
                f"The first message must carry hello, and {fault}.",
            )
        executor_id = first.hello.executor_id
        session = Session(first.hello, self._jobs, self._replica, self._roster, self._controls)
        self._by_executor[executor_id].add(session)
        reading = asyncio.create_task(session.read(first, requests), name="read a session")
        try:
            async for response in session.responses():
                yield response
        finally:
            self._by_executor[executor_id].discard(session)
            if not self._by_executor[executor_id]:
                del self._by_executor[executor_id]
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    def _on_change(self, change: Change) -> None:
        """Pushes a cancel, which any replica may have accepted, to the executor's sessions here."""
        if isinstance(change.event, events.CancelRequested):
            job = change.stored.job
            for session in self._by_executor.get(job.state.executor_id or "", ()):
                session.cancel(pb.Run(job_id=job.job_id, attempt=job.state.attempt))


def _find_fault(hello: pb.Hello) -> str | None:
    """Returns what is wrong with a hello, or None if it is valid."""
    if not 0 < len(hello.executor_id) <= MAX_ID_CHARS:
        return f"its executor_id must have 1 to {MAX_ID_CHARS} characters"
    if len(hello.job_types) > MAX_JOB_TYPES:
        return f"it may name {MAX_JOB_TYPES} job types at most"
    names = [name for kind in hello.job_types for name in (kind.item_type, kind.job_type)]
    if any(len(name) > MAX_NAME_CHARS for name in (hello.pool, *names)):
        return f"its names may have {MAX_NAME_CHARS} characters at most"
    return None
