"""Times in output."""

from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.runtime import times


def format_time(time: Timestamp) -> str:
    """Returns the time in UTC to the second, such as 2026-11-23T20:14:01Z."""
    return times.format_time(time.ToDatetime(UTC))
