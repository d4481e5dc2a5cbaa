"""Throttles progress reports: of each run, the latest report is appended, at most once a second."""

import asyncio
from collections.abc import Awaitable, Callable

from fabric_jobs.status.v1 import job_status_pb2 as pb

#: Seconds between two progress reports of a run that are appended.
INTERVAL_S = 1.0

_Run = tuple[str, int]


class ProgressThrottle:
    """Forwards progress reports of one session's runs, and holds those that come too soon."""

    def __init__(self, forward: Callable[[pb.Report], Awaitable[pb.Answer]]) -> None:
        """`forward` appends a report and returns its answer."""
        self._forward = forward
        #: When the next report of a run may be forwarded, on the event loop's clock.
        self._next_at: dict[_Run, float] = {}
        self._held: dict[_Run, pb.Report] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, report: pb.Report) -> pb.Answer:
        """Returns the answer to a report. A report that is held back is accepted with its grant."""
        loop, run = asyncio.get_running_loop(), (report.job_id, report.attempt)
        if loop.time() >= self._next_at.get(run, 0):
            return await self._forward_now(report)
        if run not in self._held:
            loop.call_at(self._next_at[run], self._release, run)
        self._held[run] = report
        return pb.Answer(entry_id=report.entry_id, accepted=report.grant)

    async def end(self, report: pb.Report) -> None:
        """Forwards the held report of a run before the report that ends the run."""
        run = report.job_id, report.attempt
        if held := self._held.pop(run, None):
            await self._forward(held)
        self._next_at.pop(run, None)

    def close(self) -> None:
        """Drops held reports, because the stream has ended."""
        self._held.clear()
        for task in self._tasks:
            task.cancel()

    def _release(self, run: _Run) -> None:
        if held := self._held.pop(run, None):
            task = asyncio.create_task(self._forward_held(held), name="append held progress")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward_held(self, report: pb.Report) -> None:
        await self._forward_now(report)

    async def _forward_now(self, report: pb.Report) -> pb.Answer:
        now = asyncio.get_running_loop().time()
        self._next_at[report.job_id, report.attempt] = now + INTERVAL_S
        return await self._forward(report)
