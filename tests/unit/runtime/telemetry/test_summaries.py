"""Many log lines of one kind become a few."""

import logging
from types import SimpleNamespace

import pytest

from fabric_jobs.runtime.telemetry import summaries


def test_log_summary_logs_a_burst_and_then_the_number_that_it_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line of the next interval has it."""
    now = [100.0]
    monkeypatch.setattr(summaries, "time", SimpleNamespace(monotonic=lambda: now[0]))
    summary = summaries.LogSummary(logging.getLogger("mine"))
    for number in range(20_000):
        summary.add("record %d", number)
    now[0] += summaries.INTERVAL_S
    summary.add("record %d", 20_000)
    summary.add("record %d", 20_001)

    assert caplog.messages == [
        *(f"record {number}" for number in range(5)),
        "record 20000 (19995 more before)",
        "record 20001",
    ]
