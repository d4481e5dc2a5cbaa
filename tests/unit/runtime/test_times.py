"""Times as people type them."""

from datetime import UTC, datetime

import pytest

from fabric_jobs.runtime.times import moment, to_seconds

NOW = datetime(2026, 11, 23, 20, 14, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", "2026-11-23T20:13:31Z"),
        ("15m", "2026-11-23T19:59:01Z"),
        ("2h", "2026-11-23T18:14:01Z"),
        ("7d", "2026-11-16T20:14:01Z"),
        ("1w", "2026-11-16T20:14:01Z"),
        ("2026-11-23", "2026-11-23T00:00:00Z"),
        ("2026-11-23T20:14", "2026-11-23T20:14:00Z"),
        ("2026-11-23 20:14:01.5", "2026-11-23T20:14:01Z"),
        ("2026-11-23T20:14:01Z", "2026-11-23T20:14:01Z"),
        ("2026-11-23T20:14:01+02:00", "2026-11-23T18:14:01Z"),
    ],
)
def test_a_time_is_an_instant_or_how_long_ago_it_was(text: str, expected: str) -> None:
    """In UTC, where it names no zone."""
    assert to_seconds(moment(text, NOW)) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2 h", "-2h", "h", "2y", "٢h", "20:14", "2026-13-01", "9" * 12 + "d"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Rather than taken for another."""
    with pytest.raises(ValueError, match="is neither a time"):
        moment(text, NOW)
