"""Times as options, and those of messages as text."""

from datetime import UTC, datetime

import click
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.runtime.times import moment, to_seconds


class When(click.ParamType[datetime]):
    """A time, or how long ago that was."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def shown(time: Timestamp) -> str:
    """A message's time, to the second."""
    return to_seconds(time.ToDatetime(UTC))
