"""Throttles the reports of a run that goes on: progress and checkpoints.

Of each run, the latest report is appended, at most once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import takewhile

from fabric_jobs.facade.lifecycle import (
    HandBack,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    SaveCheckpoint,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds between two reports of a run and a command that are appended.
INTERVAL_S = 1.0

_Run = tuple[str, int]
_Command = ReportProgress | SaveCheckpoint
_Held = tuple[pb.Report, _Command]


class ReportThrottle:
    """Forwards a session's reports of one command, and holds those that come too soon."""

    def __init__(self, forward: Callable[[pb.Report, _Command], Awaitable[pb.Answer]]) -> None:
        """`forward` appends a report, whose command it gets too, and returns its answer."""
        self._forward = forward
        #: When the next report of a run may be forwarded, on the event loop's clock; the earliest
        #: time comes first. A time that is over is dropped, because it no longer matters.
        self._next_at: dict[_Run, float] = {}
        self._held: dict[_Run, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, report: pb.Report, command: _Command) -> pb.Answer:
        """Returns the answer to a report. A report that is held back is accepted with its grant."""
        loop, run = asyncio.get_running_loop(), (command.job_id, command.attempt)
        if loop.time() >= self._next_at.get(run, 0):
            return await self._forward_now(report, command)
        if run not in self._held:
            loop.call_at(self._next_at[run], self._release, run)
        self._held[run] = report, command
        return pb.Answer(entry_id=report.entry_id, accepted=report.grant)

    async def end(self, command: ReportCompleted | ReportFailed | ReportStopped | HandBack) -> None:
        """Forwards the held report of a run before the report that ends the run."""
        run = command.job_id, command.attempt
        if held := self._held.pop(run, None):
            await self._forward(*held)
        self._next_at.pop(run, None)

    def release_all(self) -> None:
        """Forwards every held report now. They were answered, so nobody sends them again.

        It is called when the stream ends. The executor goes on, and its job may need a checkpoint.
        """
        for run in tuple(self._held):
            self._release(run)

    async def wait(self) -> None:
        """Waits until the reports that are being forwarded have their answers."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _release(self, run: _Run) -> None:
        if held := self._held.pop(run, None):
            task = asyncio.create_task(self._forward_held(held), name="append a held report")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward_held(self, held: _Held) -> None:
        await self._forward_now(*held)

    async def _forward_now(self, report: pb.Report, command: _Command) -> pb.Answer:
        now = asyncio.get_running_loop().time()
        run = command.job_id, command.attempt
        self._next_at.pop(run, None)
        for past in [*takewhile(lambda other: self._next_at[other] <= now, self._next_at)]:
            del self._next_at[past]
        self._next_at[run] = now + INTERVAL_S
        answer = await self._forward(report, command)
        if not answer.HasField("accepted") and run not in self._held:
            # Nothing is kept of runs that the executor does not have.
            self._next_at.pop(run, None)
        return answer
