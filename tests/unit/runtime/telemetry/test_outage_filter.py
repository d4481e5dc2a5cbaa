"""The lines of an outage: the first one, then one a minute."""

import logging

from fabric_jobs.runtime.telemetry.logs import OUTAGE_INTERVAL_S, OutageFilter


def record(name: str, text: str, level: int = logging.WARNING) -> logging.LogRecord:
    """A log record with one argument."""
    return logging.LogRecord(name, level, "file.py", 1, f"{text} %s", ("x",), None)


def test_lines_of_aiokafka_are_one_a_minute_whatever_they_say() -> None:
    """An outage makes thousands of lines, of several texts and loggers."""
    now = 0.0
    outages = OutageFilter(lambda: now)
    assert outages.filter(record("aiokafka", "Unable connect to node"))
    for _ in range(1000):
        assert not outages.filter(record("aiokafka.cluster", "Topic not found", logging.ERROR))
    now = OUTAGE_INTERVAL_S
    later = record("aiokafka.conn", "Unable connect to node")

    assert outages.filter(later)
    assert later.getMessage() == (
        "Unable connect to node x (1000 such lines before it were left out)"
    )
    assert not outages.filter(record("aiokafka", "Unable connect to node"))


def test_lines_of_the_exporters_are_one_a_minute() -> None:
    """Spans and metrics are lost in batches while the collector is away."""
    outages = OutageFilter(lambda: 0.0)
    lines = [
        record(f"opentelemetry.exporter.{each}", "Failed to export", logging.ERROR)
        for each in ("metric_exporter", "trace_exporter", "trace_exporter")
    ]

    assert [outages.filter(line) for line in lines] == [True, False, False]
    assert outages.filter(record("opentelemetry.sdk.trace", "Setting attribute on ended span."))


def test_warnings_of_the_log_are_one_a_minute_by_their_text() -> None:
    """Two different warnings are both passed."""
    outages = OutageFilter(lambda: 0.0)
    lines = [
        record("fabric_jobs.log", text)
        for text in ("restarted", "replaced", "restarted", "replaced")
    ]

    assert [outages.filter(line) for line in lines] == [True, True, False, False]


def test_other_lines_are_all_passed() -> None:
    """The lines of jobs, and what the log says of its faults."""
    outages = OutageFilter(lambda: 0.0)
    for _ in range(3):
        assert outages.filter(record("fabric_jobs.executor", "job failed"))
        assert outages.filter(record("fabric_jobs.log", "no topic", logging.ERROR))
