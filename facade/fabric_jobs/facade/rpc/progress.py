"""Progress on its way to the log: of each run the latest wins, and one a second is appended."""

import asyncio
from collections.abc import Awaitable, Callable

from fabric_jobs.status.v1 import job_status_pb2 as pb

INTERVAL_S = 1.0

_Run = tuple[str, int]


class ProgressGate:
    """Lets the progress of one stream's runs through, and holds what comes too soon."""

    def __init__(self, answering: Callable[[pb.Report], Awaitable[pb.Answer]]) -> None:
        self._answering = answering
        self._open_at: dict[_Run, float] = {}
        self._held: dict[_Run, pb.Report] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def answer(self, report: pb.Report) -> pb.Answer:
        """What the log made of it; where it is held, its grant stands for what it will say."""
        loop, run = asyncio.get_running_loop(), (report.job_id, report.attempt)
        if loop.time() >= self._open_at.get(run, 0):
            return await self._through(report)
        if run not in self._held:
            loop.call_at(self._open_at[run], self._send, run)
        self._held[run] = report
        return pb.Answer(entry_id=report.entry_id, accepted=report.grant)

    async def end(self, report: pb.Report) -> None:
        """Lets through what is held of a run that is reported to be over; no more comes of it."""
        run = report.job_id, report.attempt
        if held := self._held.pop(run, None):
            await self._answering(held)
        self._open_at.pop(run, None)

    def close(self) -> None:
        """The stream is over: what is held is let go."""
        self._held.clear()
        for task in self._sending:
            task.cancel()

    def _send(self, run: _Run) -> None:
        if held := self._held.pop(run, None):
            task = asyncio.create_task(self._send_held(held), name="send held progress")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_held(self, report: pb.Report) -> None:
        await self._through(report)

    async def _through(self, report: pb.Report) -> pb.Answer:
        now = asyncio.get_running_loop().time()
        self._open_at[report.job_id, report.attempt] = now + INTERVAL_S
        return await self._answering(report)
