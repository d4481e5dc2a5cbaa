"""How pages show times and durations."""

from datetime import UTC, datetime, timedelta

import pytest

from fabric_jobs.facade.monitor.formatting import (
    format_duration,
    format_elapsed,
    format_seconds,
    format_short_time,
    format_time,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_format_duration_shows_the_two_largest_units(seconds: float, text: str) -> None:
    """A negative duration is shown as zero."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0141, "14 ms"), (1.44, "1.4 s"), (12.3, "12 s"), (90, "1 min 30 s")],
)
def test_format_seconds_shows_two_digits(seconds: float | None, text: str) -> None:
    """Without a duration the text is empty."""
    assert format_seconds(seconds) == text


def test_format_elapsed_with_an_end_shows_a_fixed_duration() -> None:
    """A duration below 10 seconds has one decimal."""
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert format_elapsed(since, since + timedelta(milliseconds=440)) == "0.4 s"
    assert format_elapsed(since, since + timedelta(seconds=61)) == "1 min 1 s"


def test_format_elapsed_without_an_end_tells_the_browser_the_start() -> None:
    """The browser updates the duration from the exact start."""
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert format_elapsed(since).startswith('<span data-since="2026-01-01T12:00:00.000Z">')


def test_format_short_time_of_today_shows_no_date() -> None:
    """The time is shown to the second; its machine-readable form has milliseconds."""
    now = datetime.now(UTC).replace(hour=7, minute=8, second=9, microsecond=123_456)

    assert ">07:08:09</time>" in format_short_time(now)
    assert f"{now:%Y-%m-%dT}07:08:09.123Z" in format_short_time(now)


def test_format_short_time_of_another_day_shows_the_date() -> None:
    """A browser may show it without the date, if the day is its own."""
    yesterday = datetime.now(UTC) - timedelta(days=1)

    assert f">{yesterday:%Y-%m-%d %H:%M:%S}</time>" in format_short_time(yesterday)
    assert " data-short" in format_short_time(yesterday)
    assert ">2026-01-01 00:00:00</time>" in format_time(datetime(2026, 1, 1, tzinfo=UTC))
