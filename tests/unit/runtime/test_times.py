"""Times that a person typed."""

from datetime import UTC, datetime

import pytest

from fabric_jobs.runtime.times import format_time, parse_time

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
def test_parse_time_of_a_time_or_an_age_returns_the_time(text: str, expected: str) -> None:
    """A time without a zone is in UTC."""
    assert format_time(parse_time(text, NOW)) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2 h", "-2h", "h", "2y", "٢h", "20:14", "2026-13-01", "9" * 12 + "d"]
)
def test_parse_time_of_another_text_raises_value_error(text: str) -> None:
    """The message shows the accepted forms."""
    with pytest.raises(ValueError, match="is neither a time"):
        parse_time(text, NOW)
