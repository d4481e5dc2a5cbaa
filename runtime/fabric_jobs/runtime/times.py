"""Times as people type and read them. All are in UTC."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """The instant that a text means: a time, or how long ago it was.

    Raises `ValueError`, saying what would do.
    """
    try:
        if ago := re.fullmatch(r"(\d+)([smhdw])", text, re.ASCII):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a time such as 2026-11-23T20:14:01Z (UTC where no zone is "
            "named) nor how long ago it was, such as 30m, 2h or 7d."
        ) from None


def to_seconds(time: datetime) -> str:
    """The time to the second, as it can be typed again."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
