"""Times: as they are typed, and as they are shown. All are in UTC."""

import re
from datetime import UTC, datetime, timedelta

import click
from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class When(click.ParamType[datetime]):
    """A time, or how long ago that was."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return moment(value, datetime.now(UTC))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time such as 2026-11-23T20:14:01Z (UTC where no zone is "
                "named) nor how long ago it was, such as 30m, 2h or 7d.",
                param,
                ctx,
            )


def moment(text: str, now: datetime) -> datetime:
    """The instant that a text means. Raises `ValueError` and `OverflowError`."""
    if ago := re.fullmatch(r"(\d+)([smhdw])", text, re.ASCII):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def to_seconds(time: datetime) -> str:
    """The time to the second, as it can be typed again."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def shown(time: Timestamp) -> str:
    """A message's time, to the second."""
    return to_seconds(time.ToDatetime(UTC))
