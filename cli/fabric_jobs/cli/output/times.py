"""Times in output."""

from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from fabric_jobs.runtime.times import to_seconds


def format_time(time: Timestamp) -> str:
    """Returns the time in UTC to the second, such as 2026-11-23T20:14:01Z."""
    return to_seconds(time.ToDatetime(UTC))
