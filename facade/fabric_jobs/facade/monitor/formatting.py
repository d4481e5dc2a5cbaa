"""Formats values for a page. All times are in UTC; a browser with JavaScript shows its own."""

from datetime import UTC, date, datetime

import msgspec
from markupsafe import Markup

#: Characters of a payload or a definition on a page.
MAX_JSON_CHARS = 32 * 1024
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
_DAY_AND_TIME, _TIME = "%Y-%m-%d %H:%M:%S", "%H:%M:%S"


def today() -> date:
    """Returns the current day in UTC."""
    return datetime.now(UTC).date()


def format_time(time: datetime) -> Markup:
    """Returns the date and time to the second."""
    text = time.astimezone(UTC).strftime(_DAY_AND_TIME)
    return Markup('<time datetime="{}">{}</time>').format(format_iso_time(time), text)


def format_short_time(time: datetime) -> Markup:
    """Returns the time to the second, with the date only if it is not today's.

    The browser applies the same rule to its own day.
    """
    utc = time.astimezone(UTC)
    day = utc.date()
    text = utc.strftime(_TIME if day == today() else _DAY_AND_TIME)
    return Markup('<time datetime="{}" data-short title="{} UTC">{}</time>').format(
        format_iso_time(time), day.isoformat(), text
    )


def format_duration(seconds: float) -> str:
    """Returns the duration in its two largest units. `monitor.js` has the same function."""
    whole = max(0, int(seconds))
    if whole >= _DAY_S:
        return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    if whole >= _MINUTE_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole} s"


def format_elapsed(since: datetime, until: datetime | None = None) -> Markup:
    """Returns the duration from `since` to `until`.

    Without `until`, it is the duration up to now, which the browser updates every second.
    """
    if until:
        seconds = max(0.0, (until - since).total_seconds())
        # Short durations differ by fractions of a second.
        return Markup("{}").format(f"{seconds:.1f} s" if seconds < 10 else format_duration(seconds))
    text = format_duration((datetime.now(UTC) - since).total_seconds())
    return Markup('<span data-since="{}">{}</span>').format(format_iso_time(since), text)


def format_seconds(seconds: float | None) -> str:
    """Returns a duration with two digits, such as `35 ms` or `1.4 s`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else format_duration(seconds)


def format_json(json: bytes) -> str:
    """Returns JSON with numbers and texts as they were sent, cut to `MAX_JSON_CHARS`.

    It is indented unless it is long: indented, it could be a hundred times as long.
    """
    if len(json) <= MAX_JSON_CHARS:
        json = msgspec.json.format(json, indent=2)
    # Four bytes a character at most: the rest need not be decoded.
    text = json[: 4 * MAX_JSON_CHARS].decode(errors="replace")
    if len(text) <= MAX_JSON_CHARS:
        return text
    return f"{text[:MAX_JSON_CHARS]}…\n`fabric-jobs jobs get --json` shows all of it."


def format_iso_time(time: datetime) -> str:
    """Returns the time in UTC as ISO 8601, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
