"""Progress that comes too fast, on its way to the log."""

import asyncio

import pytest

from fabric_jobs.facade.rpc import progress
from fabric_jobs.facade.rpc.progress import ProgressGate
from fabric_jobs.status.v1 import job_status_pb2 as pb

GRANT = pb.Record(event_id="grant", partition=1, offset=7)


class Log:
    """Remembers the fractions that came through."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.came = asyncio.Event()

    async def answer(self, report: pb.Report) -> pb.Answer:
        """Applied, by a record of its own."""
        self.seen.append(report.progress.fraction)
        self.came.set()
        return pb.Answer(entry_id=report.entry_id, accepted=pb.Record(event_id="applied"))


def report(entry_id: int, fraction: float, job_id: str = "job") -> pb.Report:
    """A run's progress."""
    return pb.Report(
        entry_id=entry_id,
        job_id=job_id,
        attempt=1,
        grant=GRANT,
        progress=pb.Progress(fraction=fraction),
    )


async def test_the_first_goes_through_and_the_next_are_held() -> None:
    """Each is answered at once, by its own entry id; other runs are not concerned."""
    log = Log()
    gate = ProgressGate(log.answer)
    first = await gate.answer(report(1, 0.1))
    held = await gate.answer(report(2, 0.2))
    await gate.answer(report(3, 0.1, "other"))

    assert log.seen == [0.1, 0.1]
    assert (first.entry_id, first.accepted.event_id) == (1, "applied")
    assert (held.entry_id, held.accepted) == (2, GRANT)


async def test_the_latest_of_those_held_comes_when_the_second_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One event for all of them."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.05)
    log = Log()
    gate = ProgressGate(log.answer)
    await gate.answer(report(1, 0.1))
    log.came.clear()
    for entry_id in range(2, 50):
        await gate.answer(report(entry_id, entry_id / 100))
    async with asyncio.timeout(10):
        await log.came.wait()

    assert log.seen == [0.1, 0.49]


async def test_a_run_that_ends_says_its_last_progress_first() -> None:
    """And nothing is said of it afterwards."""
    log = Log()
    gate = ProgressGate(log.answer)
    await gate.answer(report(1, 0.1))
    await gate.answer(report(2, 0.9))
    end = pb.Report(entry_id=3, job_id="job", attempt=1, completed=pb.Completed())
    await gate.end(end)
    await gate.end(end)

    assert log.seen == [0.1, 0.9]
