"""The throttle of the reports of a run that goes on."""

import asyncio

import pytest

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.facade.lifecycle import ReportCompleted, ReportProgress, SaveCheckpoint
from fabric_jobs.facade.rpc import throttle as throttle_module
from fabric_jobs.facade.rpc.throttle import INTERVAL_S, ReportThrottle
from fabric_jobs.status.v1 import job_status_pb2 as pb

GRANT = pb.Record(event_id="grant", partition=1, offset=7)


class FakeLog:
    """Appends reports, and remembers their fractions."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.appended = asyncio.Event()

    async def append(
        self, report: pb.Report, command: ReportProgress | SaveCheckpoint
    ) -> pb.Answer:
        """Returns an accepted answer with a record of its own."""
        self.fractions.append(report.progress.fraction)
        self.appended.set()
        return pb.Answer(entry_id=report.entry_id, accepted=pb.Record(event_id="applied"))


def report(entry_id: int, fraction: float, job_id: str = "job") -> tuple[pb.Report, ReportProgress]:
    """Returns a progress report of a run, and its command."""
    message = pb.Report(
        entry_id=entry_id,
        job_id=job_id,
        attempt=1,
        grant=GRANT,
        progress=pb.Progress(fraction=fraction),
    )
    progressed = Progress(fraction)
    return message, ReportProgress(
        job_id=job_id, attempt=1, executor_id="executor", progress=progressed
    )


async def test_report_throttle_forwards_the_first_report_and_holds_the_next() -> None:
    """Each report is answered at once with its own entry id. Other runs are throttled apart."""
    log = FakeLog()
    throttle = ReportThrottle(log.append)
    first = await throttle.answer(*report(1, 0.1))
    held = await throttle.answer(*report(2, 0.2))
    await throttle.answer(*report(3, 0.1, "other"))

    assert log.fractions == [0.1, 0.1]
    assert (first.entry_id, first.accepted.event_id) == (1, "applied")
    assert (held.entry_id, held.accepted) == (2, GRANT)


async def test_report_throttle_keeps_no_run_beyond_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of a run may not be reported, because another facade or a deadline ended it."""
    loop, now = asyncio.get_running_loop(), 100.0
    monkeypatch.setattr(loop, "time", lambda: now)
    throttle = ReportThrottle(FakeLog().append)
    for number in range(3):
        await throttle.answer(*report(1, 0.1, f"job {number}"))
        now += INTERVAL_S / 2

    assert [job_id for job_id, _ in throttle._next_at] == ["job 1", "job 2"]


async def test_report_throttle_after_the_interval_forwards_the_latest_held_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The earlier held reports are dropped."""
    monkeypatch.setattr(throttle_module, "INTERVAL_S", 0.05)
    log = FakeLog()
    throttle = ReportThrottle(log.append)
    await throttle.answer(*report(1, 0.1))
    log.appended.clear()
    for entry_id in range(2, 50):
        await throttle.answer(*report(entry_id, entry_id / 100))
    async with asyncio.timeout(10):
        await log.appended.wait()

    assert log.fractions == [0.1, 0.49]


async def test_report_throttle_at_the_end_of_a_run_forwards_the_held_report_once() -> None:
    """The final report finds the latest progress in the log before it."""
    log = FakeLog()
    throttle = ReportThrottle(log.append)
    await throttle.answer(*report(1, 0.1))
    await throttle.answer(*report(2, 0.9))
    end = ReportCompleted(job_id="job", attempt=1, executor_id="executor")
    await throttle.end(end)
    await throttle.end(end)

    assert log.fractions == [0.1, 0.9]


async def test_report_throttle_at_the_end_of_the_stream_forwards_the_held_reports() -> None:
    """The executor has an answer to them, so it does not send them on its next stream."""
    log = FakeLog()
    throttle = ReportThrottle(log.append)
    for job_id in ("job", "other"):
        await throttle.answer(*report(1, 0.1, job_id))
        await throttle.answer(*report(2, 0.9, job_id))
    throttle.release_all()
    await throttle.wait()

    assert log.fractions == [0.1, 0.1, 0.9, 0.9]
