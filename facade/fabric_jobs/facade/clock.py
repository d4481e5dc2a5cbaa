"""The time by which jobs are decided: the broker's, carried on by this machine's monotonic clock.

A wall clock may step, and a deadline that is decided by a stepped clock is wrong for good. So the
time comes from this facade's own heartbeats: the broker's acknowledgement of each has the broker's
time. It needs no record code, so it arrives however wrong this machine's clock is. Between two
heartbeats only the monotonic clock counts.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

#: How far this machine's wall clock may be from the broker's. Beyond that the facade is not ready.
MAX_SKEW = timedelta(seconds=30)
#: How far the broker's clock may be ahead of this machine's wall clock while the facade appends
#: events. It is less than the time for which replicas know a job after its end.
MAX_LEAD = timedelta(days=1)


class _Moment(NamedTuple):
    """A time, and the reading of the monotonic clock at that time, in seconds."""

    time: datetime
    monotonic: float


def utc_now() -> datetime:
    """The time of this machine's wall clock."""
    return datetime.now(UTC)


class Clock:
    """The wall clock's time, corrected by the broker's times of this facade's heartbeats."""

    def __init__(self) -> None:
        self._anchor = self._written = _Moment(utc_now(), time.monotonic())
        self._confirmed = asyncio.Event()

    def now(self) -> datetime:
        """The time now; a step of the wall clock does not change it."""
        return self._anchor.time + timedelta(seconds=time.monotonic() - self._anchor.monotonic)

    @property
    def skew(self) -> timedelta:
        """How far the wall clock is from the time now."""
        return abs(utc_now() - self.now())

    @property
    def is_right(self) -> bool:
        """Whether the wall clock is at most `MAX_SKEW` from the time now."""
        return self.skew <= MAX_SKEW

    @property
    def is_far_behind(self) -> bool:
        """Whether the wall clock is over `MAX_LEAD` behind the time now. One of them is wrong."""
        return self.now() - utc_now() > MAX_LEAD

    @property
    def is_confirmed(self) -> bool:
        """Whether the clock was compared with the broker's; until then it is the wall clock."""
        return self._confirmed.is_set()

    async def wait_until_confirmed(self) -> None:
        """Returns once the clock was compared with the broker's."""
        await self._confirmed.wait()

    def note_written(self, written: datetime) -> None:
        """Notes that a heartbeat with this time is written now."""
        self._written = _Moment(written, time.monotonic())

    def confirm(self, written: datetime, recorded: datetime) -> None:
        """Sets the clock after the broker has recorded the heartbeat of `written` at `recorded`.

        The time follows the wall clock as far as the broker's time allows that.
        """
        if written != self._written.time:
            return  # A later heartbeat is on its way.
        wall, now = utc_now(), time.monotonic()
        earliest = wall - timedelta(seconds=now - self._written.monotonic)
        self._anchor = _Moment(wall + offset(earliest, recorded, wall), now)
        self._confirmed.set()

    def follow_wall_clock(self) -> None:
        """Sets the clock to the wall clock, for a broker that writes no time of its own."""
        self._anchor = _Moment(utc_now(), time.monotonic())
        self._confirmed.set()


def offset(written: datetime, recorded: datetime, read: datetime) -> timedelta:
    """The least that must be added to this machine's clock to agree with the broker's.

    This machine wrote a record at `written` and read it at `read`, by its own clock. The broker
    recorded it in between, at `recorded` by the broker's clock.
    """
    if recorded < written:
        return recorded - written
    return max(recorded - read, timedelta())
