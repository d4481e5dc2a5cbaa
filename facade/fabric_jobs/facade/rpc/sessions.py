"""The sessions of the executors that are connected to this replica."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import grpc

from fabric_jobs.contract import events
from fabric_jobs.contract.heartbeats import Run
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.jobs.errors import UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.replica import Change, Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.rpc.authorization import is_of_executor, kept_names
from fabric_jobs.facade.rpc.bounds import (
    OutOfBoundsError,
    RunTimeoutError,
    check_hello,
    check_run_timeouts,
)
from fabric_jobs.facade.rpc.errors import Context, abort, abort_invalid
from fabric_jobs.facade.rpc.session import Session
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.sessions")


class Sessions:
    """Opens and ends sessions, and pushes cancels and stops to them."""

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
        try:
            check_hello(first.hello)
        except OutOfBoundsError as error:
            message = f"The first message must carry hello, and its {error}."
            await abort_invalid(context, "INVALID_HELLO", message)
        peers = self._roster.peers
        if peers.conflict:
            # If this facade's setting is wrong, no executor must end because of it.
            await abort(
                context,
                grpc.StatusCode.UNAVAILABLE,
                UnavailableReason.LONGEST_LIFE_DIFFERS,
                f"Ask another replica. {peers.conflict}",
            )
        try:
            check_run_timeouts(first.hello, peers.longest_life_s)
        except RunTimeoutError as error:
            code = grpc.StatusCode.FAILED_PRECONDITION
            await abort(context, code, "RUN_TIMEOUT_TOO_LONG", str(error))
        executor_id = first.hello.executor_id
        names = kept_names(context)
        if not is_of_executor(names, self._roster.find(executor_id)):
            await abort(
                context,
                grpc.StatusCode.PERMISSION_DENIED,
                "EXECUTOR_ID_TAKEN",
                f"The executor {executor_id} is connected with a certificate of other names. Use a "
                "new id for each process.",
            )
        session = Session(
            first.hello, self._jobs, self._replica, self._roster, self._controls, names
        )
        self._by_executor[executor_id].add(session)
        reading = asyncio.create_task(session.read(first, requests), name="read a session")
        del first  # it may be large, and the stream may last for days
        try:
            async for response in session.responses():
                yield response
        finally:
            self._by_executor[executor_id].discard(session)
            if not self._by_executor[executor_id]:
                del self._by_executor[executor_id]
            reading.cancel()
            with suppress(asyncio.CancelledError, OutOfBoundsError):
                await reading
        if session.fault:
            log.warning("ended the session of executor %s: %s", executor_id, session.fault)
            await abort_invalid(context, "INVALID_MESSAGE", f"The stream ends: {session.fault}.")

    def _on_change(self, change: Change) -> None:
        """Pushes what any replica may have decided about a run to the executor's sessions here.

        That is a cancel, or the end of an attempt that its executor did not report.
        """
        job = change.stored.job
        run = Run(job.job_id, job.state.attempt)
        sessions = self._by_executor.get(job.state.executor_id or "", ())
        match change.event:
            case events.CancelRequested():
                for session in sessions:
                    session.cancel(run)
            case events.AttemptFailed() | events.Failed() | events.Cancelled():
                for session in sessions:
                    session.stop(run)
            case events.Requeued():
                # The job no longer names the executor of its earlier attempt.
                for session in self.open_sessions():
                    session.stop(Run(job.job_id, job.state.attempt - 1))
