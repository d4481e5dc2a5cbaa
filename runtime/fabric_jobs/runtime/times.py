"""Reads times that a person typed, and writes times for a person. All times are in UTC."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """Returns the time that a text names: an ISO 8601 time, or an age such as `2h` before `now`.

    Raises `ValueError` with a message that shows the accepted forms.
    """
    try:
        if age := re.fullmatch(r"(\d+)([smhdw])", text, re.ASCII):
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a time such as 2026-11-23T20:14:01Z (UTC if no zone is given) "
            "nor an age such as 30m, 2h or 7d."
        ) from None


def format_time(time: datetime) -> str:
    """Returns the time to the second, in a form that `parse_time` reads."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
